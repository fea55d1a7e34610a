"""The engine and its peers behind one signature, under one time limit.

Peers get the plain models a user would write first: counts of each item type
per bin, as many bins as first fit needs, bins used in order.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpupack.packing import (
    PackingProblem,
    canonicalize,
    constructive_packings,
    format_vbp,
    solve,
    volume_bound,
)

MAX_VARIABLES = 400_000
"""Peers' models beyond this would not be built within the limit."""


@dataclass(frozen=True)
class Outcome:
    """What a solver reached; ``num_bins`` is None if it found no packing."""

    num_bins: int | None
    bound: int
    seconds: float
    method: str = ""
    rungs: list[list[object]] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        """Whether the packing meets the bound."""
        return self.num_bins is not None and self.num_bins <= self.bound


class SolverMissingError(Exception):
    """A peer is not installed; the message says what to install."""


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


def solve_vpsolver(
    problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
) -> Outcome:
    """Run VPSolver's compressed arc-flow graph, its model solved by CBC.

    References:
        Brandão and Pedroso, "Bin packing and related problems: general arc-flow
        formulation with graph compression", Computers & Operations Research 69,
        2016.
    """
    programs = {name: shutil.which(name) for name in ("vbp2afg", "afg2mps", "cbc")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        raise SolverMissingError(
            f"VPSolver needs {', '.join(missing)}: pip install pyvpsolver, "
            "apt install coinor-cbc"
        )
    started = time.perf_counter()

    def left() -> float:
        return max(0.05, time_limit_s - (time.perf_counter() - started))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.vbp").write_text(format_vbp(canonicalize(problem).problem))
        log = ""
        try:
            for command in (
                ["vbp2afg", "a.vbp", "a.afg"],
                ["afg2mps", "a.afg", "a.mps"],
                ["cbc", "a.mps", "-threads", str(workers), "-sec", "LEFT", "-solve"],
            ):
                budget = left()
                done = subprocess.run(
                    [f"{budget:.1f}" if word == "LEFT" else word for word in command],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=budget + (0.5 if command[0] == "cbc" else 0),
                    check=False,
                )
                if done.returncode != 0:
                    failed = f"{command[0]} failed"
                    return Outcome(None, 0, time.perf_counter() - started, failed)
                log = done.stdout
        except subprocess.TimeoutExpired as err:
            stage = f"limit in {err.cmd[0]}"
            return Outcome(None, 0, time.perf_counter() - started, stage)
    seconds = time.perf_counter() - started
    value = re.search(r"Objective value:\s+([\d.]+)", log)
    bound = re.search(r"Lower bound:\s+([\d.]+)", log)
    if value is None or "No feasible solution found" in log:
        return Outcome(None, 0, seconds, "limit in cbc")
    num_bins = round(float(value.group(1)))
    if "Optimal solution found" in log:
        return Outcome(num_bins, num_bins, seconds, "OPTIMAL")
    proved = int(-(-(float(bound.group(1)) - 1e-6) // 1)) if bound else 0
    return Outcome(num_bins, proved, seconds, "limit in cbc")


def _first_fit_bins(problem: PackingProblem) -> int:
    packing = next(constructive_packings(problem))
    return max(volume_bound(problem), sum(one_bin.multiplicity for one_bin in packing))


SOLVERS: dict[str, Callable[..., Outcome]] = {
    "gpupack": solve_gpupack,
    "cpsat": solve_cpsat,
    "highs": _solve_linear("HIGHS"),
    "scip": _solve_linear("SCIP"),
    "vpsolver": solve_vpsolver,
}
