"""What more workers are worth: hard instances with 1, 2, 4, 8 workers on as many cores.

    python -m benchmarks.cores --data FOLDER --out benchmarks/results/cores.jsonl
    python -m benchmarks.cores --table benchmarks/results/cores.jsonl

Each run may use as many cores as it has workers (CPU affinity), so that on a machine of
many the figures are those of one with as few. ``FOLDER`` holds ``vectorpack/`` with its
archives and ``*_known.csv``. One JSON line per instance and number of workers: bins,
bound, seconds to the last better packing and the last better bound, CPU time used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# Also works as ``python benchmarks/cores.py``: the repository is then not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.environment import benchmark_environment
from benchmarks.problem_sets import PROBLEM_SETS, Instance, gpu_like_problem
from gpupack.packing import PackingResult, format_vbp, kernels_are_ready, solve

HARD = (
    "new/class1_500_10_0",
    "new/class5_500_5_0",
    "new/class6_250_10_0",
    "panigrahy/class1_250_10_0",
    "panigrahy/class1_500_5_0",
)
"""Of Vectorpack's sample; open or slow with one worker."""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--time-limit", type=float, default=10.0, metavar="S")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument(
        "--budget-s", type=float, default=240.0, help="no run begins that may pass it"
    )
    parser.add_argument("--note", action="append", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.table is not None:
        print(render(arguments.table.read_text().splitlines()))
        return
    if arguments.data is None or arguments.out is None:
        parser.error("give --data and --out, or --table")
    ends = time.perf_counter() + arguments.budget_s
    kernels_are_ready(wait_s=60)
    cores = sorted(os.sched_getaffinity(0))
    environment = benchmark_environment(
        seed=arguments.seed, notes=("kernels built before timing", *arguments.note)
    ).model_dump(mode="json", exclude_none=True)
    for instance in _instances(arguments.data):
        for workers in arguments.workers:
            if workers > len(cores) or arguments.only not in instance.name:
                continue
            if time.perf_counter() + 1.1 * arguments.time_limit > ends:
                print(f"no time for {instance.name} with {workers}", file=sys.stderr)
                continue
            os.sched_setaffinity(0, cores[:workers])
            try:
                line = _run(instance, workers, arguments.time_limit, arguments.seed)
            finally:
                os.sched_setaffinity(0, cores)
            with arguments.out.open("a") as file:
                file.write(json.dumps(line | {"environment": environment}) + "\n")


def _instances(data: Path) -> Iterator[Instance]:
    """Yield the hard instances, and many distinct items like models on a GPU."""
    for instance in PROBLEM_SETS["vectorpack_sample"].load(data):
        if instance.name in HARD:
            yield instance
    yield Instance(
        "gpulike/distinct_1000_3_1", format_vbp(gpu_like_problem(1000, 1000, seed=1))
    )


def _run(
    instance: Instance, workers: int, time_limit_s: float, seed: int
) -> dict[str, object]:
    started, cpu_started = time.perf_counter(), time.process_time()
    bins_at: list[tuple[float, int]] = []
    bound_at: list[tuple[float, int]] = []

    def note(result: PackingResult) -> None:
        seconds = round(time.perf_counter() - started, 3)
        if not bins_at or result.num_bins < bins_at[-1][1]:
            bins_at.append((seconds, result.num_bins))
        if not bound_at or result.bound > bound_at[-1][1]:
            bound_at.append((seconds, result.bound))

    result = solve(
        instance.problem(),
        time_limit_s=time_limit_s,
        seed=seed,
        num_workers=workers,
        progress=note,
    )
    return {
        "name": instance.name,
        "workers": workers,
        "cores": sorted(os.sched_getaffinity(0)),
        "time_limit_s": time_limit_s,
        "seed": seed,
        "num_bins": result.num_bins,
        "bound": result.bound,
        "status": result.status.value,
        "found_by": result.found_by,
        "proved_by": result.proved_by,
        "seconds": round(result.seconds, 3),
        "cpu_seconds": round(time.process_time() - cpu_started, 3),
        "bins_at_s": bins_at,
        "bound_at_s": bound_at,
        "load_average": round(os.getloadavg()[0], 2),
    }


def render(lines: Sequence[str]) -> str:
    """Return a table of bins, bound and seconds by instance and workers."""
    read = [json.loads(line) for line in lines]
    workers = sorted({line["workers"] for line in read})
    cells = {
        (line["name"], line["workers"]): (
            f"{line['num_bins']} / {line['bound']}, {line['seconds']:.1f} s"
        )
        for line in read
    }
    header = ["bins / bound", *(f"{count} workers" for count in workers)]
    rows = [header, ["---"] * len(header)] + [
        [name, *(cells.get((name, count), "–") for count in workers)]
        for name in dict.fromkeys(line["name"] for line in read)
    ]
    names = {line["name"] for line in read}
    full = {one for one in names if all((one, count) in cells for count in workers)}
    for what in ("num_bins", "bound"):
        sums = [
            sum(
                line[what]
                for line in read
                if line["workers"] == count and line["name"] in full
            )
            for count in workers
        ]
        rows.append([f"sum of {what}", *map(str, sums)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    main()
