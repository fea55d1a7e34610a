"""Record how networks that keep the GPU busy get on: retention, and p99 of arrivals.

    python -m benchmarks.h200.busy_record OUT --networks fit --sharing mps

All networks of a half (``busy``) are loaded side by side. Each is measured alone (under
MPS with the kernel probe), which gives its profile. Then sets run in closed loops: in
each, alone, together, together, alone, so that a drift of the host cancels and two
readings of one retention tell its noise. Then sets get Poisson traffic, 0.2 to 0.8 of
what the GPU is predicted to bear. OUT gets ``busy_NETWORKS_SHARING.jsonl``: profile
records, then one row per set. ``--cpu`` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.h200.busy import FITTING, JUDGING, SMALL, write_networks
from benchmarks.h200.latency_record import draw_traffic
from gpupack.planning.contention import (
    LatencyLimits,
    RetentionRule,
    resolve_contention,
)
from gpupack.planning.contention.retention import cautious_retention
from gpupack.profile_set import ProfileSet
from gpupack.profiling import (
    DrivenModel,
    EmbeddedServer,
    KernelProbe,
    LoadProcess,
    MeasureOptions,
    ModelLoad,
    MpsDaemon,
    TritonServer,
    measure_together,
    open_device,
)
from gpupack.profiling.load import wait_any
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.measuring import Circumstances, profile_record
from gpupack.profiling.measuring.interval import throughput_requests_per_s
from gpupack.records.environment import SharingMode
from gpupack.records.profile import LoadPoint
from gpupack.records.request.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.contention import Contention
    from gpupack.profiling import Device, Measurement
    from gpupack.records.profile import ProfileRecord

POINT = LoadPoint(batch_size=1, concurrency=1)
NETWORKS = {"fit": FITTING, "judge": JUDGING, "small": SMALL}
PROMISED = 0.8
LIMITS = (4.0, 6.0, 5.0, 3.0)
"""Limits of p99, in multiples of each model's p99 alone, plan by plan."""
BORNE = 0.8
"""Planned traffic ÷ what the GPU bears, at most."""
SETTLE_S = 0.12
ALONE_S, TOGETHER_S = 0.3, 0.8
"""Lengths of one round of a closed set."""


class BusyRecorder:
    """Measures on one server and appends every row to a file at once."""

    def __init__(
        self,
        server: TritonServer,
        device: Device,
        path: Path,
        *,
        server_pid: int,
        sharing: SharingMode | None,
        probe: KernelProbe | None,
        names: Sequence[str],
        stack: ExitStack,
    ) -> None:
        self.started_s = time.monotonic()
        self._server = server
        self._device = device
        self._path = path
        self._server_pid = server_pid
        self._probe = probe
        name, version = server.version()
        self._circumstances = Circumstances(
            name,
            version,
            command="benchmarks.h200.busy_record",
            seed=0,
            sharing_mode=sharing,
        )
        self.alone_s: dict[str, float] = {}
        """By model, the p99 of its closed loop alone."""
        self._processes = {
            one: stack.enter_context(LoadProcess(server.url)) for one in names
        }
        self._loads = {}
        for one in names:
            signature = server.signature(one)
            inputs = make_inputs(signature, 1)
            self._loads[one] = ModelLoad(signature, POINT, inputs)

    def say(self, text: str) -> None:
        """Print one line with the time."""
        print(f"{time.monotonic() - self.started_s:6.1f} s  {text}", flush=True)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def profile(self, name: str, seconds: float) -> ProfileRecord | None:
        """Measure one model alone; its record is written and returned."""
        try:
            found = self._measure([(name, None)], seconds=seconds, probe=self._probe)
            record = profile_record(
                found, 0, device=self._device, circumstances=self._circumstances
            )
        except Exception as err:
            self.say(f"{name} failed: {err}")
            return None
        self.append(json.loads(record.model_dump_json(exclude_none=True)))
        self.append(_row("alone", found, {}))
        self.alone_s[name] = float(np.percentile(found.loads[0].latencies_us, 99)) / 1e6
        self.say(
            f"{name}: {record.throughput_infer_per_sec or 0:.1f}/s, GPU "
            f"{record.gpu_utilization_mean_percent}, SM {record.sm_utilization_percent}"
            f", p50 {record.latency_p50_us} p99 {record.latency_p99_us}"
        )
        return record

    def closed(self, members: Sequence[str], order: random.Random) -> None:
        """Run one set: alone, together, together, alone; write both rounds."""
        rounds = []
        with ExitStack() as stack:
            driven = {
                name: stack.enter_context(
                    DrivenModel(
                        self._server, self._loads[name], process=self._processes[name]
                    )
                )
                for name in members
            }
            first = list(members)
            order.shuffle(first)
            alone = {one: self._rate([driven[one]], ALONE_S)[0] for one in first}
            together = self._rate([driven[one] for one in members], TOGETHER_S)
            rounds.append((alone, together))
            again = self._rate([driven[one] for one in members], TOGETHER_S)
            alone = {one: self._rate([driven[one]], ALONE_S)[0] for one in first[::-1]}
            rounds.append((alone, again))
        self.append(
            {
                "kind": "busy_set",
                "label": "closed",
                "measured_at": time.time(),
                "models": list(members),
                "rounds": [
                    {
                        "alone": [round(alone[one], 3) for one in members],
                        "together": [round(rate, 3) for rate in together],
                    }
                    for alone, together in rounds
                ],
            }
        )

    def _rate(self, driven: Sequence[DrivenModel], seconds: float) -> list[float]:
        for model in driven:
            model.start()
        begin_ns = time.monotonic_ns() + round(SETTLE_S * 1e9)
        end_ns = begin_ns + round(seconds * 1e9)
        while time.monotonic_ns() < end_ns:
            wait_any([model.process for model in driven], 0.05)
            for model in driven:
                model.process.collect()
        for model in driven:
            model.process.stop()
        found = []
        for model in driven:
            ends, _ = model.process.trace.completions()
            inside = ends[(ends >= begin_ns) & (ends <= end_ns)]
            found.append(throughput_requests_per_s(inside) or 0.0)
        return found

    def traffic(
        self,
        members: Sequence[tuple[str, float]],
        *,
        seconds: float,
        more: dict[str, Any],
    ) -> None:
        """Send one set Poisson traffic; a failure leaves the others their turn."""
        seed = f"{more}/{','.join(name for name, _ in members)}"
        try:
            found = self._measure(members, seconds=seconds, seed=seed)
        except Exception as err:
            self.say(f"failed: {members}: {err}")
            return
        self.append(_row("traffic", found, more))

    def _measure(
        self,
        members: Sequence[tuple[str, float | None]],
        *,
        seconds: float,
        seed: str = "",
        probe: KernelProbe | None = None,
    ) -> Measurement:
        loads = [
            ModelLoad(
                self._loads[name].signature,
                POINT,
                self._loads[name].inputs,
                offered_infer_per_sec=rate,
                arrivals=Arrivals(),
                seed=seed,
            )
            for name, rate in members
        ]
        return measure_together(
            self._server,
            loads,
            device=self._device,
            options=MeasureOptions(
                half_width_ratio=0.001,
                percentile=99.0,
                min_duration_s=seconds,
                max_duration_s=seconds,
                warm_up_s=0.4,
            ),
            server_pid=self._server_pid,
            processes=[self._processes[name] for name, _ in members],
            probe=probe,
        )


def _row(label: str, found: Measurement, more: dict[str, Any]) -> dict[str, Any]:
    readings = found.readings
    return {
        "kind": "busy_set",
        "label": label,
        "measured_at": time.time(),
        "duration_s": round(found.duration_s, 3),
        "gpu_utilization_mean_percent": readings.gpu_utilization_mean_percent,
        "sm_utilization_percent": readings.sm_utilization_percent,
        "power_mean_watts": readings.power_mean_watts,
        "server_cpu_percent": found.server_cpu_percent,
        **more,
        "models": [
            {
                "model_name": one.load.signature.name,
                "offered_infer_per_sec": one.load.offered_infer_per_sec,
                "throughput_infer_per_sec": one.throughput_infer_per_sec,
                "open_loop": (
                    None if one.open_loop is None else one.open_loop.model_dump()
                ),
                "latencies_us": np.round(one.latencies_us).astype(int).tolist(),
            }
            for one in found.loads
        ],
    }


def draw_closed_sets(
    records: Sequence[ProfileRecord],
    contention: Contention,
    num_sets: int,
    chance: random.Random,
) -> list[tuple[int, ...]]:
    """Return different sets: a third of any kind, the others such as plans make.

    Those are predicted to keep 0.8 of each model's throughput, with the margin.
    """
    rule = RetentionRule(records, contention, {})
    everything = range(len(records))
    found: dict[tuple[int, ...], None] = {}
    for turn in range(50 * num_sets):
        if len(found) >= num_sets // 3:
            break
        size = min((2, 3, 4, 3, 5)[turn % 5], len(records))
        found.setdefault(tuple(sorted(chance.sample(everything, size))))
    promised = []
    for _ in range(4000):
        size = min(chance.choice([2, 2, 3]), len(records))
        one = tuple(sorted(chance.sample(everything, size)))
        lowest = min(rule.retentions(tuple((index, 1) for index in one)))
        if cautious_retention(lowest, contention.margin) >= PROMISED:
            promised.append(one)
    # Every model as often as can be: rare ones first.
    uses = dict.fromkeys(everything, 0)
    candidates = list(dict.fromkeys(promised))
    while candidates and len(found) < num_sets:
        best = min(candidates, key=lambda one: sum(uses[item] for item in one))
        candidates.remove(best)
        if best not in found:
            found[best] = None
            for item in best:
                uses[item] += 1
    ordered = list(found)
    chance.shuffle(ordered)
    return ordered


@dataclass(frozen=True)
class PlannedSet:
    """One GPU of a plan for a latency limit, as it is to be run.

    Attributes:
        plan: ``predicted`` or ``alone``: by which latency it was made.
        question: Plans with the same number are for the same demands and limits.
        members: Models, by index.
        rates: What each is sent, in infer/sec.
        limits_s: Of each one's p99.
    """

    plan: str
    question: int
    members: tuple[int, ...]
    rates: tuple[float, ...]
    limits_s: tuple[float, ...]


def draw_plans(
    records: Sequence[ProfileRecord],
    contention: Contention,
    alone_s: Sequence[float],
    num_questions: int,
    chance: random.Random,
) -> list[PlannedSet]:
    """Return plans, first fit, by the planner's rules: with latency and without.

    Both kinds serve the demands with a fifth to spare. Those by the latency alone let
    share what can serve its demands; the others also keep p99 limits as predicted.

    Args:
        records: Of the models.
        contention: How they share.
        alone_s: Each one's p99 alone.
        num_questions: Different demands and limits.
        chance: Draws them.
    """
    found = []
    for question in range(num_questions):
        names = frozenset(one.model_name for one in records)
        speeds = [one.throughput_infer_per_sec or 0.0 for one in records]
        loads = [
            min(0.45, max(chance.uniform(0.1, 0.35), 50 / speed)) for speed in speeds
        ]
        times = LIMITS[question % len(LIMITS)]
        limits = {
            one.model_name: times * alone
            for one, alone in zip(records, alone_s, strict=True)
        }
        serving = RetentionRule(
            records, contention, {}, loads=[load / BORNE for load in loads]
        )
        keeping = RetentionRule(
            records,
            contention,
            {},
            loads=loads,
            latency=LatencyLimits(limits, names, percentile=99.0),
        )
        order = list(range(len(records)))
        chance.shuffle(order)
        for plan in ("predicted", "alone"):
            gpus: list[list[int]] = []
            for item in order:
                for gpu in gpus:
                    counts = tuple((one, 1) for one in sorted([*gpu, item]))
                    if min(serving.retentions(counts)) >= 0.999 and (
                        plan == "alone" or keeping.is_allowed(counts)
                    ):
                        gpu.append(item)
                        break
                else:
                    gpus.append([item])
            found += [
                PlannedSet(
                    plan,
                    question,
                    tuple(sorted(gpu)),
                    tuple(loads[item] * speeds[item] for item in sorted(gpu)),
                    tuple(limits[records[item].model_name] for item in sorted(gpu)),
                )
                for gpu in gpus
                if len(gpu) > 1
            ]
    return found


def record(arguments: argparse.Namespace) -> None:
    """Measure everything once and write it down."""
    started_s = time.monotonic()
    deadline_s = started_s + arguments.budget_s
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    sharing = None if arguments.cpu else SharingMode(arguments.sharing)
    label = f"{arguments.networks}_{arguments.sharing}"
    repository = Path(arguments.scratch) / f"busy_{label}"
    networks = NETWORKS[arguments.networks]
    write_networks(
        repository, networks, kind="KIND_CPU" if arguments.cpu else "KIND_GPU"
    )
    with ExitStack() as stack:
        daemon = None
        if sharing is SharingMode.MPS:
            daemon = stack.enter_context(MpsDaemon(gpu_uuids=tuple(arguments.gpu)))
        embedded = stack.enter_context(
            EmbeddedServer(
                repository,
                python=arguments.server_python,
                root=arguments.server_root,
                environment=daemon.environment if daemon else None,
                log_path=Path(arguments.scratch) / f"server_{label}.log",
            )
        )
        server = stack.enter_context(TritonServer(embedded.url))
        device = open_device("host" if arguments.cpu else None, server_pid=embedded.pid)

        def load(name: str) -> str | None:
            try:
                server.load(name, timeout_s=150)
            except Exception as err:
                print(f"{name} does not load: {str(err)[-1500:]}", flush=True)
                return None
            return name

        with ThreadPoolExecutor(max_workers=len(networks)) as pool:
            loaded = list(pool.map(load, [one.name for one in networks]))
        names = [name for name in loaded if name is not None]
        recorder = BusyRecorder(
            server,
            device,
            out / f"busy_{label}.jsonl",
            server_pid=embedded.pid,
            sharing=sharing,
            probe=KernelProbe(daemon.environment) if daemon else None,
            names=names,
            stack=stack,
        )
        recorder.started_s = started_s
        recorder.say(f"{len(names)} networks loaded")
        if daemon is not None and not daemon.server_pids():
            raise SystemExit(f"no model uses the MPS daemon: {daemon.log_tail()}")
        found = [recorder.profile(name, arguments.solo_s) for name in names]
        profiles = [one for one in found if one is not None]
        names = [one.model_name for one in profiles]
        contention = resolve_contention(
            ProfileSet(records=tuple(profiles)), device.gpu_type, sharing
        )
        chance = random.Random(arguments.seed)
        closed = draw_closed_sets(profiles, contention, arguments.num_closed, chance)
        traffic = [
            ([(names[i], rate) for i, rate in zip(members, rates, strict=True)], more)
            for members, rates, share in draw_traffic(
                profiles, contention, arguments.num_open, chance
            )
            for more in [{"bearable_share": share}]
        ]
        alone_s = [recorder.alone_s[name] for name in names]
        for one in draw_plans(
            profiles, contention, alone_s, arguments.num_questions, chance
        ):
            more = {
                "plan": one.plan,
                "question": one.question,
                "limits_s": list(one.limits_s),
            }
            pairs = zip(one.members, one.rates, strict=True)
            traffic.append(([(names[i], rate) for i, rate in pairs], more))
        # Running out of time hits every kind alike.
        chance.shuffle(traffic)
        for members in closed:
            recorder.closed([names[index] for index in members], chance)
        recorder.say(f"{len(closed)} closed sets")
        # What is left of the time is for traffic, as long for every set.
        left_s = deadline_s - time.monotonic() - 6
        each_s = min(arguments.most_s, left_s / max(1, len(traffic)) - 0.9)
        recorder.say(f"{len(traffic)} sets with traffic, {each_s:.1f} s each")
        for sent, more in traffic:
            if time.monotonic() + each_s + 1 > deadline_s:
                recorder.say("out of time")
                break
            recorder.traffic(sent, seconds=max(1.0, each_s), more=more)
        recorder.say("done")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--networks", choices=sorted(NETWORKS), default="fit")
    parser.add_argument("--sharing", default="time_slicing")
    parser.add_argument("--scratch", default="/tmp/busy")
    parser.add_argument("--gpu", nargs="*", default=[], help="UUID, for MPS")
    parser.add_argument("--server-root", type=Path)
    parser.add_argument("--server-python", type=Path)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--budget-s", type=float, default=520.0)
    parser.add_argument("--solo-s", type=float, default=2.4)
    parser.add_argument("--most-s", type=float, default=25.0)
    parser.add_argument("--num-closed", type=int, default=40)
    parser.add_argument("--num-open", type=int, default=6)
    parser.add_argument("--num-questions", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    record(parser.parse_args())


if __name__ == "__main__":
    main()
