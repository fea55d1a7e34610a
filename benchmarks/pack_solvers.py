"""The engine and its peers behind one signature, under one time limit.

Peers get the plain models a user would write first: counts of each item type
per bin, as many bins as first fit needs, bins used in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.arc_flow import solve_vpsolver, solve_vpsolver_highs
from benchmarks.solver_outcome import Outcome, SolverMissingError
from gpupack.packing import (
    PackingProblem,
    canonicalize,
    constructive_packings,
    solve,
    volume_bound,
)

MAX_VARIABLES = 400_000
"""Peers' models beyond this would not be built within the limit."""


def solve_gpupack(
    problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
) -> Outcome:
    """Run gpupack's ladder (its result is checked inside)."""
    result = solve(problem, time_limit_s=time_limit_s, seed=seed, num_workers=workers)
    rungs: list[list[object]] = [
        [rung.name, round(rung.seconds, 4), rung.num_bins, rung.bound]
        for rung in result.rungs
    ]
    return Outcome(result.num_bins, result.bound, result.seconds, result.method, rungs)


def solve_cpsat(
    problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
) -> Outcome:
    """Run CP-SAT on the plain assignment model."""
    from ortools.sat.python import cp_model

    started = time.perf_counter()
    problem = canonicalize(problem).problem
    num_bins = _first_fit_bins(problem)
    if problem.num_types * num_bins > MAX_VARIABLES:
        return Outcome(None, 0, time.perf_counter() - started, "model too large")
    model = cp_model.CpModel()
    bins = range(num_bins)
    used = [model.new_bool_var("") for _ in bins]
    x = [
        [model.new_int_var(0, item_type.count, "") for _ in bins]
        for item_type in problem.item_types
    ]
    for item, item_type in enumerate(problem.item_types):
        model.add(sum(x[item]) == item_type.count)
    for one in bins:
        for dimension, capacity in enumerate(problem.capacity):
            load = sum(
                item_type.sizes[dimension] * x[item][one]
                for item, item_type in enumerate(problem.item_types)
            )
            model.add(load <= capacity * used[one])
        if one:
            model.add_implication(used[one], used[one - 1])
    model.minimize(sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = max(
        0.01, time_limit_s - (time.perf_counter() - started)
    )
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed
    status = solver.status_name(solver.solve(model))
    found = status in {"OPTIMAL", "FEASIBLE"}
    return Outcome(
        round(solver.objective_value) if found else None,
        max(0, round(solver.best_objective_bound)),
        time.perf_counter() - started,
        status,
    )


def _solve_linear(backend: str) -> Callable[..., Outcome]:
    def solve_it(
        problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
    ) -> Outcome:
        from ortools.linear_solver import pywraplp

        started = time.perf_counter()
        problem = canonicalize(problem).problem
        num_bins = _first_fit_bins(problem)
        if problem.num_types * num_bins > MAX_VARIABLES:
            return Outcome(None, 0, time.perf_counter() - started, "model too large")
        solver = pywraplp.Solver.CreateSolver(backend)
        if solver is None:
            raise SolverMissingError(f"this build of ortools has no {backend}")
        bins = range(num_bins)
        used = [solver.BoolVar("") for _ in bins]
        rows = [
            solver.Constraint(item_type.count, item_type.count)
            for item_type in problem.item_types
        ]
        for one in bins:
            variables = []
            for item, item_type in enumerate(problem.item_types):
                variable = solver.IntVar(0, item_type.count, "")
                rows[item].SetCoefficient(variable, 1)
                variables.append(variable)
            for dimension, capacity in enumerate(problem.capacity):
                row = solver.Constraint(-solver.infinity(), 0)
                row.SetCoefficient(used[one], -capacity)
                for variable, item_type in zip(
                    variables, problem.item_types, strict=True
                ):
                    row.SetCoefficient(variable, item_type.sizes[dimension])
            if one:
                row = solver.Constraint(0, 1)
                row.SetCoefficient(used[one - 1], 1)
                row.SetCoefficient(used[one], -1)
        solver.Minimize(sum(used))
        left = max(0.01, time_limit_s - (time.perf_counter() - started))
        solver.SetTimeLimit(int(left * 1000))
        status = solver.Solve()
        seconds = time.perf_counter() - started
        found = status in {solver.OPTIMAL, solver.FEASIBLE}
        bound = solver.Objective().BestBound() if found else 0.0
        return Outcome(
            round(solver.Objective().Value()) if found else None,
            # A minimum of whole bins: round the bound up, but not for noise.
            max(0, int(-(-(bound - 1e-6) // 1))),
            seconds,
            "OPTIMAL" if status == solver.OPTIMAL else "limit",
        )

    return solve_it


def solve_first_fit(
    problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
) -> Outcome:
    """Put items, the largest share first, into the first bin with room (FFD)."""
    started = time.perf_counter()
    sizes = np.repeat(problem.sizes, problem.counts, axis=0)
    shares = (sizes / problem.capacities).max(axis=1)
    free = np.tile(problem.capacities, (len(sizes), 1))
    opened = 0
    for size in sizes[np.argsort(-shares, kind="stable")]:
        # The first bin not opened has room for every item.
        chosen = int(np.argmax((free[: opened + 1] >= size).all(axis=1)))
        free[chosen] -= size
        opened = max(opened, chosen + 1)
    seconds = time.perf_counter() - started
    return Outcome(opened, volume_bound(problem), seconds, "first fit decreasing")


def _first_fit_bins(problem: PackingProblem) -> int:
    packing = next(constructive_packings(problem))
    return max(volume_bound(problem), sum(one_bin.multiplicity for one_bin in packing))


SOLVERS: dict[str, Callable[..., Outcome]] = {
    "gpupack": solve_gpupack,
    "cpsat": solve_cpsat,
    "highs": _solve_linear("HIGHS"),
    "scip": _solve_linear("SCIP"),
    "first fit": solve_first_fit,
    "vpsolver": solve_vpsolver,
    "vpsolver highs": solve_vpsolver_highs,
}
