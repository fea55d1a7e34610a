"""Run solvers over a problem set; append one JSON line per instance and solver.

python -m benchmarks.run_packing SET --data FOLDER --solver gpupack --solver cpsat
    --time-limit 10 --out benchmarks/results/NAME.jsonl

With --before COMMIT the engine of that commit runs beside that of this tree, each in a
process of its own; they take turns on every instance, and who begins changes.

What the output file already holds (same set, instance, solver, limit) is
skipped, so a long run can be done in pieces with --stop-after.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from benchmarks.at_commit import REPOSITORY, EngineProcess, full_name, sources_at
from benchmarks.environment import benchmark_environment
from benchmarks.pack_solvers import SOLVERS
from benchmarks.problem_sets import PROBLEM_SETS, Instance
from benchmarks.solver_outcome import SolverMissingError
from gpupack.cpus import count_usable_cpus
from gpupack.errors import InvalidInputError
from gpupack.packing import kernels_are_ready

OURS = "gpupack"
BEFORE = "gpupack before"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set_name", choices=sorted(PROBLEM_SETS))
    parser.add_argument("--data", type=Path, default=Path(), metavar="FOLDER")
    parser.add_argument("--solver", action="append", choices=sorted(SOLVERS))
    parser.add_argument("--time-limit", type=float, default=10.0, metavar="S")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=count_usable_cpus())
    parser.add_argument("--every", type=int, default=1, help="take each k-th instance")
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--stop-after", type=float, default=float("inf"), metavar="S")
    parser.add_argument("--before", metavar="COMMIT")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    kernels_are_ready(wait_s=60)
    with ExitStack() as stack:
        engines = {}
        if arguments.before is not None:
            earlier = stack.enter_context(sources_at(arguments.before))
            engines[BEFORE] = EngineProcess(earlier)
            engines[OURS] = EngineProcess(REPOSITORY / "src")
            for engine in engines.values():
                stack.callback(engine.close)
        _run_all(arguments, engines)


def _run_all(
    arguments: argparse.Namespace, engines: Mapping[str, EngineProcess]
) -> None:
    started = time.perf_counter()
    environment = benchmark_environment(
        seed=arguments.seed, notes=("kernels built before timing",)
    ).model_dump(mode="json", exclude_none=True)
    done = _already_done(arguments.out)
    problem_set = PROBLEM_SETS[arguments.set_name]
    instances = islice(problem_set.load(arguments.data), 0, None, arguments.every)
    solvers = [*engines, *(arguments.solver or ())] or [OURS]
    missing: set[str] = set()
    commit_before = full_name(arguments.before) if engines else None
    for instance in instances:
        if arguments.only not in instance.name:
            continue
        if engines:
            solvers[:2] = solvers[1::-1]
        for solver in solvers:
            key = (arguments.set_name, instance.name, solver, arguments.time_limit)
            if key in done or solver in missing:
                continue
            if time.perf_counter() - started > arguments.stop_after:
                print("stopped; run again to go on", file=sys.stderr)
                sys.exit(3)
            try:
                line = _run(instance, solver, arguments, engines.get(solver))
            except SolverMissingError as err:
                print(f"{solver} skipped: {err}", file=sys.stderr)
                missing.add(solver)
                continue
            line = {"set": arguments.set_name, **line, "environment": environment}
            if solver == BEFORE:
                line["environment"] = environment | {"commit": commit_before}
            with arguments.out.open("a") as file:
                file.write(json.dumps(line) + "\n")


def _already_done(path: Path) -> set[tuple[object, ...]]:
    if not path.exists():
        return set()
    lines = (json.loads(line) for line in path.read_text().splitlines())
    return {
        (line["set"], line["name"], line["solver"], line["time_limit_s"])
        for line in lines
    }


def _run(
    instance: Instance,
    solver: str,
    arguments: argparse.Namespace,
    engine: EngineProcess | None,
) -> dict[str, object]:
    line: dict[str, object] = {
        "name": instance.name,
        "sha256": hashlib.sha256(instance.text.encode()).hexdigest()[:16],
        "solver": solver,
        "time_limit_s": arguments.time_limit,
        "workers": arguments.workers,
        "seed": arguments.seed,
        "known_bound": instance.best_known.bound,
        "known_optimum": instance.best_known.optimum,
        "known_heuristic": instance.best_known.best_heuristic,
    }
    try:
        problem = instance.problem()
    except InvalidInputError as err:
        return line | {"status": "REFUSED", "error": str(err)}
    solve = SOLVERS[solver] if engine is None else engine.solve
    outcome = solve(
        problem,
        time_limit_s=arguments.time_limit,
        seed=arguments.seed,
        workers=arguments.workers,
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    peak_memory_mib = usage.ru_maxrss // 1024
    if engine is not None:
        peak_memory_mib = engine.peak_memory_mib
    status = "OPTIMAL" if outcome.is_proved else "FEASIBLE"
    return line | {
        "num_items": problem.num_items,
        "num_types": problem.num_types,
        "num_dimensions": problem.num_dimensions,
        "num_bins": outcome.num_bins,
        "bound": outcome.bound,
        "status": status if outcome.num_bins is not None else "NONE",
        "method": outcome.method,
        "seconds": round(outcome.seconds, 4),
        "rungs": outcome.rungs,
        # Of the whole process so far: no instance can have taken more.
        "peak_memory_mib": peak_memory_mib,
        "load_average": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main()
