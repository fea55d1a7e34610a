"""Record how pipelines get on with each other: retention, and latency of arrivals.

    python -m benchmarks.h200.latency_record OUT --sharing mps --server-root DIR

Pipelines that nothing was fitted to (``pipelines``) are loaded side by side. Each is
measured alone (under MPS with the kernel probe), which gives its profile. Then sets of
them run in closed loops, with every pipeline alone again in between, and then sets
with planned traffic, whose requests arrive as Poisson processes: loads are 0.2 to 0.8
of what the GPU is predicted to bear. OUT gets ``pipelines_SHARING.jsonl``: profile
records, then one row per set, with every latency. ``--cpu`` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.h200.pipelines import PIPELINES, SMALL, write_pipelines
from gpupack.planning.contention import RetentionRule, resolve_contention
from gpupack.profile_set import ProfileSet
from gpupack.profiling import (
    EmbeddedServer,
    KernelProbe,
    MeasureOptions,
    ModelLoad,
    MpsDaemon,
    TritonServer,
    measure_together,
    open_device,
)
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.measuring import Circumstances, profile_record
from gpupack.records.environment import SharingMode
from gpupack.records.profile import LoadPoint
from gpupack.records.request.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profiling import Device, Measurement
    from gpupack.records.profile import ProfileRecord

POINT = LoadPoint(batch_size=1, concurrency=1)
BEARABLE = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Planned traffic ÷ what the GPU bears, one after the other."""
HIGH_RETENTION = 0.8
"""Half of the closed sets are predicted to keep this, as plans would be."""


class Recorder:
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
    ) -> None:
        self.started_s = time.monotonic()
        self._server = server
        self._device = device
        self._path = path
        self._server_pid = server_pid
        self._sharing = sharing
        self._probe = probe
        name, version = server.version()
        self._circumstances = Circumstances(
            name,
            version,
            command="benchmarks.h200.latency_record",
            seed=0,
            sharing_mode=sharing,
        )

    def say(self, text: str) -> None:
        """Print one line with the time."""
        print(f"{time.monotonic() - self.started_s:6.1f} s  {text}", flush=True)

    def append(self, line: str) -> None:
        """Write one row."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def measure(
        self,
        members: Sequence[tuple[str, float | None]],
        *,
        seconds: float,
        warm_up_s: float,
        seed: str,
        with_probe: bool = False,
    ) -> Measurement:
        """Measure models together; with a rate, by requests that arrive."""
        loads = []
        for name, rate in members:
            signature = self._server.signature(name)
            loads.append(
                ModelLoad(
                    signature,
                    POINT,
                    make_inputs(signature, 1),
                    offered_infer_per_sec=rate,
                    arrivals=Arrivals(),
                    seed=seed,
                )
            )
        return measure_together(
            self._server,
            loads,
            device=self._device,
            options=MeasureOptions(
                half_width_ratio=0.001,
                percentile=99.0,
                min_duration_s=seconds,
                max_duration_s=seconds,
                warm_up_s=warm_up_s,
            ),
            server_pid=self._server_pid,
            probe=self._probe if with_probe else None,
        )

    def profile(self, name: str, seconds: float) -> ProfileRecord | None:
        """Measure one model alone; its record is written and returned."""
        try:
            found = self.measure(
                [(name, None)], seconds=seconds, warm_up_s=0.4, seed="", with_probe=True
            )
            record = profile_record(
                found, 0, device=self._device, circumstances=self._circumstances
            )
        except Exception as err:
            self.say(f"{name} failed: {err}")
            return None
        self.append(record.model_dump_json(exclude_none=True))
        self.append(json.dumps(_row("alone", found, None)))
        self.say(
            f"{name}: {record.throughput_infer_per_sec or 0:.1f}/s, GPU "
            f"{record.gpu_utilization_mean_percent}, p99 {record.latency_p99_us}"
        )
        return record

    def run(
        self,
        label: str,
        members: Sequence[tuple[str, float | None]],
        *,
        seconds: float,
        more: dict[str, Any] | None = None,
    ) -> None:
        """Measure one set and write it; a failure leaves the others their turn."""
        seed = f"{label}/{','.join(name for name, _ in members)}"
        try:
            found = self.measure(
                members, seconds=seconds, warm_up_s=0.5 if more else 0.25, seed=seed
            )
        except Exception as err:
            self.say(f"failed: {label} {members}: {err}")
            return
        self.append(json.dumps(_row(label, found, more)))


def _row(label: str, found: Measurement, more: dict[str, Any] | None) -> dict[str, Any]:
    readings = found.readings
    return {
        "kind": "pipeline_set",
        "label": label,
        "measured_at": time.time(),
        "duration_s": found.duration_s,
        "gpu_utilization_mean_percent": readings.gpu_utilization_mean_percent,
        "sm_utilization_percent": readings.sm_utilization_percent,
        "power_mean_watts": readings.power_mean_watts,
        "server_cpu_percent": found.server_cpu_percent,
        **(more or {}),
        "models": [
            {
                "model_name": one.load.signature.name,
                "offered_infer_per_sec": one.load.offered_infer_per_sec,
                "throughput_infer_per_sec": one.throughput_infer_per_sec,
                "ci_ratio": one.ci_ratio,
                "client_cpu_percent": one.client_cpu_percent,
                "open_loop": (
                    None if one.open_loop is None else one.open_loop.model_dump()
                ),
                "windows": [
                    [round(window.duration_s, 6), window.num_requests]
                    for window in one.windows
                ],
                "latencies_us": [round(float(value)) for value in one.latencies_us],
            }
            for one in found.loads
        ],
    }


def draw_closed_sets(
    records: Sequence[ProfileRecord],
    rule: RetentionRule,
    num_sets: int,
    chance: random.Random,
) -> list[tuple[int, ...]]:
    """Return different sets: half of any kind, half of those predicted to keep much."""
    sizes = [size for size in (2, 3, 2, 4, 3, 5) if size <= len(records)]
    found: dict[tuple[int, ...], None] = {}
    for turn in range(50 * num_sets):
        if len(found) >= num_sets // 2:
            break
        size = sizes[turn % len(sizes)]
        found.setdefault(tuple(sorted(chance.sample(range(len(records)), size))))
    light: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(2000):
        size = chance.choice([2, 2, 3])
        one = tuple(sorted(chance.sample(range(len(records)), min(size, len(records)))))
        if one not in found:
            light.append((min(rule.retentions(tuple((i, 1) for i in one))), one))
    likely = sorted({one for one in light if one[0] >= HIGH_RETENTION}, reverse=True)
    likely += sorted({one for one in light if one[0] < HIGH_RETENTION}, reverse=True)
    rest = num_sets - len(found)
    # Not the safest alone: every other of those that keep it.
    for _, one in [*likely[::2], *likely[1::2]][:rest]:
        found.setdefault(one)
    ordered = list(found)
    chance.shuffle(ordered)
    return ordered


def draw_traffic(
    records: Sequence[ProfileRecord],
    contention: Any,
    num_sets: int,
    chance: random.Random,
) -> list[tuple[tuple[int, ...], list[float], float]]:
    """Return sets with the traffic of each model, and the share of what is bearable."""
    found = []
    sizes = [size for size in (2, 3, 4, 5, 7, len(records)) if size <= len(records)]
    for turn in range(num_sets):
        size = sizes[turn % len(sizes)]
        members = tuple(sorted(chance.sample(range(len(records)), size)))
        weights = [chance.uniform(0.3, 1.0) for _ in members]
        low, high = 0.0, 1.0
        for _ in range(20):
            middle = (low + high) / 2
            some = [records[index] for index in members]
            loads = [middle * weight for weight in weights]
            rule = RetentionRule(some, contention, {}, loads=loads)
            kept = rule.retentions(tuple((i, 1) for i in range(size)))
            low, high = (middle, high) if min(kept) >= 0.999 else (low, middle)
        share = BEARABLE[turn % len(BEARABLE)]
        traffic = [
            share * low * weight * (records[index].throughput_infer_per_sec or 0.0)
            for index, weight in zip(members, weights, strict=True)
        ]
        found.append((members, traffic, share))
    return found


def record(arguments: argparse.Namespace) -> None:
    """Measure everything once and write it down."""
    started_s = time.monotonic()
    deadline_s = started_s + arguments.budget_s
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    sharing = None if arguments.cpu else SharingMode(arguments.sharing)
    repository = out.parent / "pipelines_repository"
    pipelines = SMALL if arguments.cpu else PIPELINES
    write_pipelines(
        repository, pipelines, kind="KIND_CPU" if arguments.cpu else "KIND_GPU"
    )
    with ExitStack() as stack:
        daemon = None
        if sharing is SharingMode.MPS:
            daemon = stack.enter_context(MpsDaemon())
        embedded = stack.enter_context(
            EmbeddedServer(
                repository,
                python=arguments.server_python,
                root=arguments.server_root,
                environment=daemon.environment if daemon else None,
                log_path=out / f"server_{arguments.sharing}.log",
            )
        )
        server = stack.enter_context(TritonServer(embedded.url))
        device = open_device("host" if arguments.cpu else None, server_pid=embedded.pid)
        recorder = Recorder(
            server,
            device,
            out / f"pipelines_{arguments.sharing}.jsonl",
            server_pid=embedded.pid,
            sharing=sharing,
            probe=KernelProbe(daemon.environment) if daemon else None,
        )
        recorder.started_s = started_s

        def load(name: str) -> str | None:
            try:
                server.load(name, timeout_s=150)
            except Exception as err:
                recorder.say(f"{name} does not load: {str(err)[-1500:]}")
                return None
            return name

        with ThreadPoolExecutor(max_workers=len(pipelines)) as pool:
            loaded = list(pool.map(load, [one.name for one in pipelines]))
        names = [name for name in loaded if name is not None]
        recorder.say(f"{len(names)} pipelines loaded")
        if daemon is not None and not daemon.server_pids():
            raise SystemExit(f"no model uses the MPS daemon: {daemon.log_tail()}")
        records = [recorder.profile(name, arguments.solo_s) for name in names]
        profiles = [one for one in records if one is not None]
        contention = resolve_contention(
            ProfileSet(records=tuple(profiles)), device.gpu_type, sharing
        )
        rule = RetentionRule(profiles, contention, {})
        chance = random.Random(arguments.seed)
        closed = draw_closed_sets(profiles, rule, arguments.num_closed, chance)
        traffic = draw_traffic(profiles, contention, arguments.num_open, chance)
        names = [one.model_name for one in profiles]
        for turn, members in enumerate(closed):
            if turn % max(1, len(closed) // 3) == 0:
                for name in names:
                    recorder.run("alone again", [(name, None)], seconds=1.2)
                recorder.say(f"{turn} closed sets")
            recorder.run("closed", [(names[i], None) for i in members], seconds=1.9)
        for name in names:
            recorder.run("alone again", [(name, None)], seconds=1.2)
        recorder.say(f"{len(closed)} closed sets")
        for members in closed[:3]:
            recorder.run("closed", [(names[i], None) for i in members], seconds=1.9)
        # What is left of the time is for traffic, as long for every set.
        left_s = deadline_s - time.monotonic() - 8
        each_s = min(arguments.most_s, left_s / max(1, len(traffic)) - 1.2)
        recorder.say(f"{len(traffic)} sets with traffic, {each_s:.1f} s each")
        for members, rates, share in traffic:
            if time.monotonic() + each_s + 1 > deadline_s:
                recorder.say("out of time")
                break
            recorder.run(
                "traffic",
                [(names[i], rate) for i, rate in zip(members, rates, strict=True)],
                seconds=max(1.0, each_s),
                more={"bearable_share": share},
            )
            recorder.say(f"traffic of {len(members)} at {share}")
        recorder.say("done")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--sharing", default="time_slicing")
    parser.add_argument("--server-root", type=Path)
    parser.add_argument("--server-python", type=Path)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--budget-s", type=float, default=520.0)
    parser.add_argument("--solo-s", type=float, default=2.2)
    parser.add_argument("--most-s", type=float, default=25.0)
    parser.add_argument("--num-closed", type=int, default=44)
    parser.add_argument("--num-open", type=int, default=18)
    parser.add_argument("--seed", type=int, default=1)
    record(parser.parse_args())


if __name__ == "__main__":
    main()
