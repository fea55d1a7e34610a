"""Pipelines on few cores of a host: retention and p99, predicted with and without them.

    python -m benchmarks.host_cores record OUT --cpu --cores 1,2
    python -m benchmarks.host_cores record OUT --cores 2,4,8 --server-root DIR
    python -m benchmarks.host_cores report

Pipelines are loaded side by side and each is measured alone with all cores, which gives
its profile. Then the server and its models are confined to so many cores (``taskset``'s
system call, for every thread), the load generator to the others where there are any.
Sets of pipelines run in closed loops, each alone again in between, then sets with
requests that arrive as Poisson processes. ``record`` writes ``host_cores_KIND.jsonl``:
profile records, then a row per set. ``--cpu`` takes pipelines of known needs whose
device is a wait; without it, the networks of ``benchmarks.h200.pipelines`` on a GPU.
``report`` judges what is recorded under ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.environment import benchmark_environment
from benchmarks.h200.latency_record import set_row
from benchmarks.h200.pipelines import PIPELINES, write_pipelines
from benchmarks.h200.set_recorder import SetRecorder, loaded_models
from gpupack.planning.contention import LatencyLimits, RetentionRule, resolve_contention
from gpupack.planning.contention.retention import cautious_retention
from gpupack.planning.contention.sharing import Contention
from gpupack.profile_set import ProfileSet
from gpupack.records.profile import ProfileRecord

RESULTS = Path(__file__).parent / "results"
PATTERN = "host_cores_*.jsonl"
NEEDS = ((1500, 4), (800, 12), (2000, 6), (500, 20), (1000, 3), (1200, 10))
"""Of the pipelines without a GPU: rounds of sorting, milliseconds of the device."""
FLOOR = 0.8
ALLOWED_POINTS = 0.03
NEAR = 0.2
LIMITS = (1.5, 2.0, 3.0, 4.0)
_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 4
input [ {{ name: "INPUT" data_type: TYPE_FP32 dims: [ 16 ] }} ]
output [ {{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ 16 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
parameters {{ key: "rounds" value {{ string_value: "{rounds}" }} }}
parameters {{ key: "device_ms" value {{ string_value: "{device_ms}" }} }}
"""


def write_host_pipelines(folder: Path) -> list[str]:
    """Write a model repository of pipelines of known needs; return their names."""
    names = []
    for index, (rounds, device_ms) in enumerate(NEEDS):
        name = f"host_pipe_{index}"
        version = folder / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (folder / name / "config.pbtxt").write_text(
            _CONFIG.format(name=name, rounds=rounds, device_ms=device_ms)
        )
        shutil.copy(
            Path(__file__).parent / "h200" / "host_pipeline_model.py",
            version / "model.py",
        )
        names.append(name)
    return names


def confine(pid: int, cpus: set[int]) -> None:
    """Let every thread of a process and its descendants run on these cores only."""
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error, OSError):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cpus)


def record(arguments: argparse.Namespace) -> None:
    """Measure everything once and write it down."""
    started_s = time.monotonic()
    every = sorted(os.sched_getaffinity(0))
    counts = [int(one) for one in arguments.cores.split(",")]
    if max(counts) > len(every):
        raise SystemExit(f"there are {len(every)} cores here, not {max(counts)}")
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    kind = "cpu" if arguments.cpu else arguments.sharing
    path = out / f"host_cores_{kind}.jsonl"
    path.unlink(missing_ok=True)
    repository = out.parent / "host_cores_repository"
    if arguments.cpu:
        names = write_host_pipelines(repository)
    else:
        write_pipelines(repository, PIPELINES)
        names = [one.name for one in PIPELINES]
    with loaded_models(
        arguments, repository, names, out / "server.log", with_mps=False
    ) as models:
        recorder = SetRecorder(
            models,
            path,
            command="benchmarks.host_cores",
            make_row=set_row,
            started_s=started_s,
        )
        environment = benchmark_environment(seed=arguments.seed)
        recorder.append(
            {
                "kind": "environment",
                "environment": environment.model_dump(mode="json", exclude_none=True),
            }
        )

        profiles = recorder.profiles(arguments.solo_s)
        try:
            _record_sets(recorder, profiles, counts, every, arguments)
        finally:
            os.sched_setaffinity(0, set(every))


def _record_sets(
    recorder: SetRecorder,
    profiles: list[ProfileRecord],
    counts: list[int],
    every: list[int],
    arguments: argparse.Namespace,
) -> None:
    chance = random.Random(arguments.seed)
    names = [one.model_name for one in profiles]
    deadline_s = recorder.started_s + arguments.budget_s
    for turn, cores in enumerate(counts):
        confine(recorder.models.server_pid, set(every[:cores]))
        # The load generator on other cores, if there are any.
        os.sched_setaffinity(0, set(every[cores:]) or set(every))
        more = {"cores": cores}
        share_s = (deadline_s - time.monotonic()) / (len(counts) - turn)
        until_s = time.monotonic() + share_s
        closed_until_s = time.monotonic() + 0.55 * share_s
        number = 0
        while time.monotonic() < closed_until_s:
            if number % 8 == 0:
                for name in names:
                    recorder.run(
                        *("alone", [(name, None)]),
                        seconds=1.2,
                        warm_up_s=0.5,
                        more=more,
                    )
            size = chance.choice([max(2, cores), cores + 1, 2 * cores, 3 * cores])
            members = chance.sample(names, max(2, min(size, len(names))))
            alike = [(name, None) for name in members]
            recorder.run("closed", alike, seconds=2.0, warm_up_s=0.5, more=more)
            number += 1
        recorder.say(f"{cores} cores: {number} closed sets")
        number = 0
        while time.monotonic() + arguments.open_s + 1 < until_s:
            share = chance.choice([0.25, 0.4, 0.55, 0.7])
            rates = _rates(profiles, chance, share * cores)
            recorder.run(
                "traffic",
                [(name, rate) for name, rate in rates.items()],
                seconds=arguments.open_s,
                warm_up_s=0.5,
                more=more | {"wanted_cores": share * cores},
            )
            number += 1
        recorder.say(f"{cores} cores: {number} sets with traffic")


def _rates(
    profiles: list[ProfileRecord], chance: random.Random, cores: float
) -> dict[str, float]:
    """Return traffic for a few pipelines that takes so many cores, none its limit."""
    members = chance.sample(profiles, min(len(profiles), chance.randint(2, 8)))
    parts = [chance.uniform(0.5, 1.5) for _ in members]
    rates = {}
    for one, part in zip(members, parts, strict=True):
        own = one.host_cpu_cores or 1.0
        load = min(0.75, cores * part / sum(parts) / own)
        rates[one.model_name] = load * (one.throughput_infer_per_sec or 1.0)
    return rates


# What is judged.


def report(paths: list[Path]) -> list[dict[str, Any]]:
    """Return figures for each recording and number of cores."""
    found = []
    for path in paths:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        profiles = {
            one["model_name"]: ProfileRecord.model_validate(one)
            for one in rows
            if one.get("kind") == "profile_record"
        }
        sets = [one for one in rows if one.get("kind") == "pipeline_set"]
        kind = path.stem.removeprefix("host_cores_")
        sharing = None if kind == "cpu" else kind.removesuffix("_more")
        for cores in sorted({one["cores"] for one in sets if "cores" in one}):
            here = [one for one in sets if one.get("cores") == cores]
            found.append(
                {"recording": kind, "cores": cores}
                | _closed(profiles, here, sharing, cores)
                | _traffic(profiles, here, sharing, cores)
            )
    return found


def _contention(
    profiles: dict[str, ProfileRecord], sharing: str | None, cores: float | None
) -> Contention:
    some = next(iter(profiles.values()))
    return resolve_contention(
        ProfileSet(records=tuple(profiles.values())),
        some.gpu_type,
        sharing,
        host_cores=cores,
    )


def _closed(
    profiles: dict[str, ProfileRecord],
    rows: list[dict[str, Any]],
    sharing: str | None,
    cores: int,
) -> dict[str, Any]:
    alone: dict[str, list[float]] = {}
    for row in rows:
        if row["label"] == "alone":
            (one,) = row["models"]
            alone.setdefault(one["model_name"], []).append(
                one["throughput_infer_per_sec"]
            )
    noise = [
        abs(value / statistics.fmean(of_model) - 1)
        for of_model in alone.values()
        for value in of_model
    ]
    result: dict[str, Any] = {"noise_of_alone": round(statistics.fmean(noise), 3)}
    closed = [row for row in rows if row["label"] == "closed"]
    for name, host_cores in (("with_cores", cores), ("without", None)):
        contention = _contention(profiles, sharing, host_cores)
        errors, kept = [], []
        for row in closed:
            names = [one["model_name"] for one in row["models"]]
            rule = RetentionRule([profiles[one] for one in names], contention, {})
            counts = tuple((item, 1) for item in range(len(names)))
            predicted = rule.retentions(counts)
            measured = [
                one["throughput_infer_per_sec"]
                / statistics.fmean(alone[one["model_name"]])
                for one in row["models"]
            ]
            errors += [a - b for a, b in zip(predicted, measured, strict=True)]
            if all(
                cautious_retention(one, contention.margin) >= FLOOR for one in predicted
            ):
                kept += [one >= FLOOR - ALLOWED_POINTS for one in measured]
        result[name] = {
            "num_retentions": len(errors),
            "mean_error": round(statistics.fmean(map(abs, errors)), 3),
            "bias": round(statistics.fmean(errors), 3),
            "error_95": round(float(np.percentile(np.abs(errors), 95)), 3),
            "num_promised": len(kept),
            "kept_share": round(statistics.fmean(kept), 3) if kept else None,
        }
    result["num_closed_sets"] = len(closed)
    return result


def _traffic(
    profiles: dict[str, ProfileRecord],
    rows: list[dict[str, Any]],
    sharing: str | None,
    cores: int,
) -> dict[str, Any]:
    traffic = [row for row in rows if row["label"] == "traffic"]
    result: dict[str, Any] = {"num_traffic_sets": len(traffic)}
    for name, host_cores in (("p99_with_cores", cores), ("p99_without", None)):
        contention = replace(
            _contention(profiles, sharing, host_cores), latency_margin=0.0
        )
        ratios, kept = [], []
        for row in traffic:
            names = [one["model_name"] for one in row["models"]]
            records = [profiles[one] for one in names]
            rates = [one["offered_infer_per_sec"] for one in row["models"]]
            rule = RetentionRule(
                records,
                contention,
                {},
                loads=[
                    rate / (one.throughput_infer_per_sec or 1.0)
                    for rate, one in zip(rates, records, strict=True)
                ],
                latency=LatencyLimits({}, frozenset(names)),
            )
            predicted = rule.latencies_s(
                tuple((item, 1) for item in range(len(names))), [99.0]
            )
            for (latency_s,), one, profile in zip(
                predicted, row["models"], records, strict=True
            ):
                if len(one["latencies_us"]) < 50:
                    continue
                measured_s = float(np.percentile(one["latencies_us"], 99)) / 1e6
                ratios.append(latency_s / measured_s)
                alone_s = (profile.latency_p95_us or 0.0) / 1e6
                kept += [
                    measured_s <= limit * alone_s
                    for limit in LIMITS
                    if latency_s <= limit * alone_s
                ]
        finite = [one for one in ratios if np.isfinite(one)]
        result[name] = {
            "num_models": len(ratios),
            "within_20_percent": round(
                statistics.fmean(abs(one - 1) <= NEAR for one in ratios), 3
            )
            if ratios
            else None,
            "median_ratio": round(statistics.median(finite), 3) if finite else None,
            "num_limits": len(kept),
            "kept_limits": round(statistics.fmean(kept), 3) if kept else None,
        }
    return result


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True)
    recording = commands.add_parser("record")
    recording.add_argument("out")
    recording.add_argument("--cpu", action="store_true")
    recording.add_argument("--cores", default="2,4,8")
    recording.add_argument("--sharing", default="time_slicing")
    recording.add_argument("--server-root", type=Path)
    recording.add_argument("--server-python", type=Path)
    recording.add_argument("--budget-s", type=float, default=480.0)
    recording.add_argument("--solo-s", type=float, default=2.2)
    recording.add_argument("--open-s", type=float, default=8.0)
    recording.add_argument("--seed", type=int, default=1)
    recording.set_defaults(run=record)
    judging = commands.add_parser("report")
    judging.add_argument("paths", nargs="*", type=Path)
    judging.set_defaults(
        run=lambda arguments: [
            print(json.dumps(one))
            for one in report(arguments.paths or sorted(RESULTS.glob(PATTERN)))
        ]
    )
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
