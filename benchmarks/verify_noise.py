"""How many promises can be judged in two minutes, and are causes named rightly?

    python -m benchmarks.verify_noise run --repeats 3
    python -m benchmarks.verify_noise report

Eleven models of known noise (``noisy_models``) on the host device, server and clients
pinned to two cores, before other work where that is permitted: sleepers without and
with jitter, one that drifts by an eighth within seconds as real pipelines do, models
that burn CPU, two that are slower at the load that is verified than at the one that was
profiled, and two that wait for each other though no device shows it. They are profiled
by ``gpupack.profile``, one load each, placed on one device, and verified with the
defaults. Which promises must be kept, and which broken by what, is written below, so
that each verdict is right or wrong.
Appends one JSON line per run to ``benchmarks/results/verify_noise.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gpupack
from benchmarks.environment import benchmark_environment
from benchmarks.noisy_models import NoisyModel, forget_loads
from benchmarks.verdict_rows import verdict_rows
from gpupack.records.running.verification import Outcome

RESULTS = Path(__file__).parent / "results" / "verify_noise.jsonl"
SLOW_FACTOR = 1.5


def models_with_causes(lock: Path) -> dict[NoisyModel, Outcome]:
    """Return the models, and what must become of each one's promise."""
    slow = (1.0, SLOW_FACTOR)
    return {
        NoisyModel("sleeper"): Outcome.KEPT,
        NoisyModel("short", sleep_s=0.012): Outcome.KEPT,
        NoisyModel("jittery", jitter=0.3): Outcome.KEPT,
        NoisyModel("ragged", sleep_s=0.03, jitter=0.6): Outcome.KEPT,
        NoisyModel("drifting", sleep_s=0.025, drift=0.12): Outcome.KEPT,
        NoisyModel("burner", sleep_s=0.03, burn_s=0.002): Outcome.KEPT,
        NoisyModel("mixed", sleep_s=0.035, burn_s=0.002, jitter=0.4): Outcome.KEPT,
        NoisyModel("slow_load", sleep_s=0.02, load_factors=slow): Outcome.SLOWER_ALONE,
        NoisyModel(
            "slow_jittery", sleep_s=0.025, jitter=0.3, load_factors=slow
        ): Outcome.SLOWER_ALONE,
        NoisyModel("locked", sleep_s=0.004, locked_s=0.016, lock=lock): Outcome.BROKEN,
        NoisyModel(
            "locked_too", sleep_s=0.004, locked_s=0.016, jitter=0.3, lock=lock
        ): Outcome.BROKEN,
    }


@contextmanager
def pinned() -> Iterator[None]:
    """What starts inside has two cores, before other work where that is permitted."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[-2:])
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def run_once(seed: int, max_seconds: float) -> dict[str, Any]:
    """Profile, place, verify; return what was judged, and how rightly."""
    with tempfile.TemporaryDirectory() as folder, pinned():
        repository = Path(folder) / "models"
        expected = models_with_causes(Path(folder) / "lock")
        for model in expected:
            model.write(repository)
        names = [model.name for model in expected]
        inputs = gpupack.InputOptions(seed=seed)
        profiles = gpupack.profile(
            names,
            model_repository=repository,
            gpus="host",
            batch_sizes=[1],
            concurrency=[1],
            loads=1,
            inputs=inputs,
            options=gpupack.MeasureOptions(max_duration_s=4.0, percentile=50.0),
        )
        (host,) = {one.gpu_type for one in profiles.records}
        placement = gpupack.place(
            profiles,
            objective="max_throughput",
            gpus={host: 1},
            load_point="1x1",
            allow_unstable=True,
            contention="predicted",
        )
        begin_s = time.monotonic()
        found = gpupack.verify(
            placement,
            model_repository=repository,
            gpu="host",
            max_seconds=max_seconds,
            inputs=inputs,
        )
        wall_s = time.monotonic() - begin_s
        forget_loads(repository)
    print(found, flush=True)
    by_name = {model.name: outcome for model, outcome in expected.items()}
    verdicts = [
        one | {"expected": by_name[one["model"]].value} for one in verdict_rows(found)
    ]
    return {
        "num_gpus": len(found.gpus),
        "seconds_per_gpu": wall_s / len(found.gpus),
        "verdicts": verdicts,
    }


def report(path: Path) -> None:
    """Print one JSON line over all runs."""
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    verdicts = [one for run in runs for one in run["verdicts"]]
    judged = [one for one in verdicts if one["outcome"] != Outcome.NOT_JUDGED.value]
    planted = [one for one in verdicts if one["expected"] != Outcome.KEPT.value]
    told = {
        "num_runs": len(runs),
        "num_models": len(verdicts),
        "judged_share": len(judged) / len(verdicts),
        "right_share_of_judged": sum(
            one["outcome"] == one["expected"] for one in judged
        )
        / len(judged),
        "planted_causes": len(planted),
        "planted_causes_named_rightly": sum(
            one["outcome"] == one["expected"] for one in planted
        ),
        "most_seconds_per_gpu": max(run["seconds_per_gpu"] for run in runs),
    }
    print(json.dumps(told))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--max-seconds", type=float, default=110.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.what == "report":
        report(arguments.out)
        return
    for seed in range(arguments.repeats):
        row = run_once(seed, arguments.max_seconds)
        row |= {
            "seed": seed,
            "max_seconds": arguments.max_seconds,
            "environment": benchmark_environment(seed=seed).model_dump(
                mode="json", exclude_none=True
            ),
        }
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
