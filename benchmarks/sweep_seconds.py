"""How long does a small sweep take, and what does it cost to find out about loads?

    python -m benchmarks.sweep_seconds --repeats 3 --first

Six load points (batch 1, 2 × concurrency 1, 2, 4) of a model that sleeps for 5 ms, by
``gpupack.profile`` with an embedded server of its own: the server's start and end are
in. In turns with one load, and by default, which measures one point in a second load.
Appends one JSON line to ``benchmarks/results/sweep_seconds.jsonl``. ``--first`` runs it
before other work, where that is permitted.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import gpupack
from benchmarks.environment import benchmark_environment
from benchmarks.noisy_models import NoisyModel

RESULTS = Path(__file__).parent / "results" / "sweep_seconds.jsonl"


def sweep_seconds(loads: int | None) -> tuple[float, list[int]]:
    """Return how long a sweep took, and how many loads each point had."""
    with tempfile.TemporaryDirectory() as folder:
        NoisyModel("five_ms", sleep_s=0.005).write(Path(folder))
        begin_s = time.perf_counter()
        profiles = gpupack.profile(
            ["five_ms"],
            model_repository=folder,
            batch_sizes=(1, 2),
            gpus="host",
            loads=loads,
        )
        return (
            time.perf_counter() - begin_s,
            [one.num_loads for one in profiles.records],
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.first:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    found: dict[str, list[float]] = {"one load": [], "default": []}
    num_loads: list[int] = []
    for _ in range(arguments.repeats):
        found["one load"].append(sweep_seconds(1)[0])
        seconds, num_loads = sweep_seconds(None)
        found["default"].append(seconds)
    row = {
        "seconds": found,
        "num_loads_by_default": num_loads,
        "is_first": arguments.first,
        "environment": benchmark_environment(seed=0).model_dump(
            mode="json", exclude_none=True
        ),
    }
    with arguments.out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row | {"environment": None}))


if __name__ == "__main__":
    main()
