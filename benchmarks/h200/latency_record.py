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
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.h200.pipelines import PIPELINES, SMALL, write_pipelines
from benchmarks.h200.set_recorder import SetRecorder, loaded_models
from gpupack.planning.contention import RetentionRule, resolve_contention
from gpupack.profile_set import ProfileSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.profiling import Measurement
    from gpupack.records.profile import ProfileRecord

BEARABLE = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Planned traffic ÷ what the GPU bears, one after the other."""
HIGH_RETENTION = 0.8
"""Half of the closed sets are predicted to keep this, as plans would be."""


def set_row(label: str, found: Measurement, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row says of a measured set: every latency and window."""
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
        **more,
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
    *,
    bearable: Sequence[float] = BEARABLE,
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
        share = bearable[turn % len(bearable)]
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
    repository = out.parent / "pipelines_repository"
    pipelines = SMALL if arguments.cpu else PIPELINES
    write_pipelines(
        repository, pipelines, kind="KIND_CPU" if arguments.cpu else "KIND_GPU"
    )
    names = [one.name for one in pipelines]
    log_path = out / f"server_{arguments.sharing}.log"
    with loaded_models(arguments, repository, names, log_path) as models:
        recorder = SetRecorder(
            models,
            out / f"pipelines_{arguments.sharing}.jsonl",
            command="benchmarks.h200.latency_record",
            make_row=set_row,
            started_s=started_s,
        )
        recorder.say(f"{len(models.names)} pipelines loaded")
        profiles = recorder.profiles(arguments.solo_s)
        contention = resolve_contention(
            ProfileSet(records=tuple(profiles)), models.device.gpu_type, models.sharing
        )
        rule = RetentionRule(profiles, contention, {})
        chance = random.Random(arguments.seed)
        closed = draw_closed_sets(profiles, rule, arguments.num_closed, chance)
        traffic = draw_traffic(profiles, contention, arguments.num_open, chance)
        names = [one.model_name for one in profiles]

        def alone_again() -> None:
            for name in names:
                one = [(name, None)]
                recorder.run("alone again", one, seconds=1.2, warm_up_s=0.25)

        for turn, members in enumerate(closed):
            if turn % max(1, len(closed) // 3) == 0:
                alone_again()
                recorder.say(f"{turn} closed sets")
            alike = [(names[i], None) for i in members]
            recorder.run("closed", alike, seconds=1.9, warm_up_s=0.25)
        alone_again()
        recorder.say(f"{len(closed)} closed sets")
        for members in closed[:3]:
            alike = [(names[i], None) for i in members]
            recorder.run("closed", alike, seconds=1.9, warm_up_s=0.25)
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
                warm_up_s=0.5,
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
