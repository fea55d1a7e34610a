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
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.h200.busy import FITTING, JUDGING, SMALL, write_networks
from benchmarks.h200.latency_record import draw_traffic
from benchmarks.h200.set_recorder import SetRecorder, loaded_models
from gpupack.planning.contention import (
    LatencyLimits,
    RetentionRule,
    resolve_contention,
)
from gpupack.planning.contention.retention import cautious_retention
from gpupack.profile_set import ProfileSet
from gpupack.profiling import DrivenModel, LoadProcess
from gpupack.profiling.load import wait_any
from gpupack.profiling.measuring.interval import throughput_requests_per_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.h200.set_recorder import LoadedModels
    from gpupack.planning.contention import Contention
    from gpupack.profiling import Measurement
    from gpupack.records.profile import ProfileRecord

NETWORKS = {"fit": FITTING, "judge": JUDGING, "small": SMALL}
PROMISED = 0.8
LIMITS = (4.0, 6.0, 5.0, 3.0)
"""Limits of p99, in multiples of each model's p99 alone, plan by plan."""
BORNE = 0.8
"""Planned traffic ÷ what the GPU bears, at most."""
SETTLE_S = 0.12
ALONE_S, TOGETHER_S = 0.3, 0.8
"""Lengths of one round of a closed set."""


class BusyRecorder(SetRecorder):
    """Measures in rounds, too, so that a drift of the host cancels."""

    def __init__(
        self,
        models: LoadedModels,
        path: Path,
        *,
        started_s: float,
        processes: Mapping[str, LoadProcess],
    ) -> None:
        super().__init__(
            models,
            path,
            command="benchmarks.h200.busy_record",
            make_row=set_row,
            started_s=started_s,
            processes=processes,
        )
        self._clients = processes

    def closed(self, members: Sequence[str], order: random.Random) -> None:
        """Run one set: alone, together, together, alone; write both rounds."""
        rounds = []
        with ExitStack() as stack:
            driven = {
                name: stack.enter_context(
                    DrivenModel(
                        self.models.server,
                        self.load_of(name),
                        process=self._clients[name],
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


def set_row(label: str, found: Measurement, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row says of a measured set, with every latency."""
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
    label = f"{arguments.networks}_{arguments.sharing}"
    repository = Path(arguments.scratch) / f"busy_{label}"
    networks = NETWORKS[arguments.networks]
    write_networks(
        repository, networks, kind="KIND_CPU" if arguments.cpu else "KIND_GPU"
    )
    with ExitStack() as stack:
        models = stack.enter_context(
            loaded_models(
                arguments,
                repository,
                [one.name for one in networks],
                Path(arguments.scratch) / f"server_{label}.log",
                gpu_uuids=tuple(arguments.gpu),
            )
        )
        url = models.server.url
        recorder = BusyRecorder(
            models,
            out / f"busy_{label}.jsonl",
            started_s=started_s,
            processes={
                name: stack.enter_context(LoadProcess(url)) for name in models.names
            },
        )
        recorder.say(f"{len(models.names)} networks loaded")
        profiles = recorder.profiles(arguments.solo_s)
        names = [one.model_name for one in profiles]
        contention = resolve_contention(
            ProfileSet(records=tuple(profiles)), models.device.gpu_type, models.sharing
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
            seconds = max(1.0, each_s)
            recorder.run("traffic", sent, seconds=seconds, warm_up_s=0.4, more=more)
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
