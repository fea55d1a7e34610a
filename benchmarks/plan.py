"""Capacity plans: gpupack's engine against the plain model on CP-SAT and on SCIP.

python benchmarks/plan.py --multiples 1 10 100 1000 --seeds 1 2 3 --time-limit 20

One JSON line per instance, goal and solver. ``--goals max_service max_min_share`` plans
for counted fleets that can serve about ``--fleet-share`` of the demand. The plain model
has an integer per option and GPU for its replicas and one for their load, GPUs of a
type in order; it is given gpupack's own value + 5 % as a cap, without which it would
have to be built for far more GPUs. Where it would have more than ``--max-variables`` of
either kind it is not built: the line says so. ``--target-gap 0.01`` measures the time
to a gap of 1 %.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from itertools import product
from pathlib import Path

# Also works as ``python benchmarks/plan.py``: the repository is then not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ortools.linear_solver import pywraplp

from benchmarks.environment import benchmark_environment
from benchmarks.plan_instances import limit_fleet, make_instance
from gpupack.cpus import count_usable_cpus
from gpupack.packing import (
    AssignmentModel,
    CapacityProblem,
    Goal,
    kernels_are_ready,
    plan_capacity,
    useful_options,
)

WARM_UP_S = 120.0

Answer = dict[str, object]


def main() -> None:
    """Run from the command line."""
    arguments = _arguments()
    kernels_are_ready(wait_s=WARM_UP_S)
    environment = benchmark_environment(seed=0).model_dump(
        mode="json", exclude_none=True
    )
    for multiple, goal, seed in product(
        arguments.multiples, arguments.goals, arguments.seeds
    ):
        problem = make_instance(
            num_models=arguments.models,
            num_load_points=arguments.load_points,
            num_types=arguments.types,
            multiple=multiple,
            seed=seed,
        )
        name = (
            f"plan_m{arguments.models}_l{arguments.load_points}"
            f"_t{arguments.types}_x{multiple:g}_s{seed}"
        )
        if not goal.is_in_full:
            problem = limit_fleet(problem, arguments.fleet_share)
            name += f"_f{arguments.fleet_share:g}"
        value = math.inf
        for solver in arguments.solvers:
            if solver != "gpupack" and not goal.is_in_full:
                continue
            answer = _solve(solver, problem, goal, arguments, value)
            found = answer["value"]
            if solver == "gpupack" and isinstance(found, float):
                value = found
            line = {
                "name": name,
                "hash": hashlib.sha256(repr(problem).encode()).hexdigest()[:16],
                "goal": goal.value,
                "solver": solver,
                "time_limit_s": arguments.time_limit,
                "target_gap": arguments.target_gap,
                "seed": seed,
                **answer,
                "load_average": round(os.getloadavg()[0], 2),
                "environment": environment,
            }
            print(json.dumps(line), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--load-points", type=int, default=6)
    parser.add_argument("--types", type=int, default=3)
    parser.add_argument("--multiples", type=float, nargs="+", default=[1, 10, 100])
    parser.add_argument(
        "--goals", type=Goal, nargs="+", default=[Goal.MIN_COST], metavar="GOAL"
    )
    parser.add_argument("--fleet-share", type=float, default=0.7)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--time-limit", type=float, default=20.0, metavar="S")
    parser.add_argument("--target-gap", type=float, default=0.0)
    parser.add_argument("--max-variables", type=int, default=60_000)
    parser.add_argument(
        "--solvers",
        nargs="+",
        choices=["gpupack", "cpsat", "scip"],
        default=["gpupack", "cpsat", "scip"],
    )
    return parser.parse_args()


def _solve(
    solver: str,
    problem: CapacityProblem,
    goal: Goal,
    arguments: argparse.Namespace,
    known_value: float,
) -> Answer:
    started = time.perf_counter()
    if solver == "gpupack":
        plan = plan_capacity(
            problem,
            goal,
            time_limit_s=arguments.time_limit,
            target_gap=arguments.target_gap,
        )
        return _answer(
            started, plan.value, plan.bound, plan.num_bins, plan.status.value
        )
    cap = math.ceil(known_value * 1.05)
    variables = sum(
        len(useful_options(problem, index)) * (cap // bin_type.cost)
        for index, bin_type in enumerate(problem.bin_types)
    )
    if variables > arguments.max_variables:
        return _answer(started, None, None, None, f"not built: {variables} variables")
    if solver == "cpsat":
        model = AssignmentModel(problem, Goal.MIN_COST, max_value=cap, lower_bound=0)
        result = model.solve(
            time_limit_s=arguments.time_limit, seed=0, num_workers=count_usable_cpus()
        )
        if result.uses is None:
            return _answer(started, None, result.bound, None, "no plan")
        cost = sum(problem.bin_types[one.bin_type].cost * n for one, n in result.uses)
        bins = sum(count for _, count in result.uses)
        return _answer(started, float(cost), result.bound, bins, "plan")
    return _solve_scip(problem, cap, arguments.time_limit, started)


def _solve_scip(
    problem: CapacityProblem, cap: int, time_limit_s: float, started: float
) -> Answer:
    """Solve the plain model, with continuous loads, on SCIP."""
    mip = pywraplp.Solver.CreateSolver("SCIP")
    used = []
    served: list[list[object]] = [[] for _ in problem.jobs]
    for index, bin_type in enumerate(problem.bin_types):
        previous = None
        for _ in range(cap // bin_type.cost):
            here = mip.BoolVar("")
            used.append((bin_type.cost, here))
            if previous is not None:
                mip.Add(here <= previous)
            previous = here
            rows: list[list[object]] = [[] for _ in bin_type.capacity]
            for option_index in useful_options(problem, index):
                option = problem.options[option_index]
                demand = problem.jobs[option.job].demand or 1
                copies = mip.IntVar(0, problem.most_copies(option_index), "")
                load = mip.NumVar(0, mip.infinity(), "")
                mip.Add(load <= copies)
                served[option.job].append(option.rate / demand * load)
                for row, fixed, proportional, room in zip(
                    rows,
                    option.fixed,
                    option.proportional,
                    bin_type.capacity,
                    strict=True,
                ):
                    if fixed:
                        row.append(fixed / room * copies)
                    if proportional:
                        row.append(proportional / room * load)
            for row in rows:
                mip.Add(mip.Sum(row) <= here)
    for terms in served:
        mip.Add(mip.Sum(terms) >= 1)
    mip.Minimize(mip.Sum(cost * here for cost, here in used))
    left = time_limit_s - (time.perf_counter() - started)
    mip.SetTimeLimit(max(1, int(left * 1000)))
    status = mip.Solve()
    bound = mip.Objective().BestBound()
    if status not in {pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE}:
        return _answer(started, None, bound, None, "no plan")
    bins = sum(here.solution_value() > 0.5 for _, here in used)
    return _answer(started, mip.Objective().Value(), bound, bins, "plan")


def _answer(
    started: float,
    value: float | None,
    bound: float | None,
    num_bins: int | None,
    status: str,
) -> Answer:
    gap = None
    if value is not None and bound is not None and math.isfinite(bound):
        gap = round(abs(value - bound) / value, 6)
    return {
        "value": value,
        "bound": bound if bound is not None and math.isfinite(bound) else None,
        "gap": gap,
        "num_bins": num_bins,
        "status": status,
        "seconds": round(time.perf_counter() - started, 3),
    }


if __name__ == "__main__":
    main()
