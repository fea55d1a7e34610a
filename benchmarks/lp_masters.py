"""Linear programs for column generation: the own simplex, GLOP and HiGHS compared.

Item engine: the same column generation and the same dive, on the same packing, with
the restricted master solved by the own simplex (``PatternMaster``), by GLOP with its
presolve, by GLOP from its last basis (primal pivots after new columns, dual ones after
another demand), and by HiGHS inside OR-Tools, which keeps no basis. Capacity
engine: every linear program that its relaxation solves by GLOP is also solved by HiGHS,
and by GLOP without what it remembers.

    python -m benchmarks.lp_masters --out benchmarks/results/lp_masters.jsonl

One JSON line per instance and master; ``--table FILE`` prints medians of what was
written. Times are seconds of CPU. HiGHS greets on standard output.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from ortools.linear_solver import pywraplp
from ortools.linear_solver.python import model_builder
from ortools.math_opt.python import mathopt

from benchmarks.environment import benchmark_environment
from benchmarks.plan_instances import make_instance
from benchmarks.problem_sets import gpu_like_problem
from gpupack.packing import Goal, PackingProblem, kernels_are_ready
from gpupack.packing.capacity.relaxing import plan_master
from gpupack.packing.capacity.relaxing.relaxation import Relaxer
from gpupack.packing.items.model import Ladder, canonicalize
from gpupack.packing.items.patterns.column_generation import ColumnGeneration
from gpupack.packing.items.patterns.diving import dive
from gpupack.packing.items.patterns.simplex import PatternMaster
from gpupack.packing.items.quick import constructive_packings, named_bounds

Pattern = tuple[tuple[int, int], ...]

ITEM_INSTANCES = (
    *((num_types, 100 * num_types) for num_types in (30, 100, 200)),
    *((num_types, num_types) for num_types in (100, 200, 400)),
)
"""Item types, and items of all of them."""
MAX_HIGHS_TYPES = 200
"""Beyond it HiGHS takes minutes."""
SEEDS = (0, 1, 2, 3, 4)
PLAN_MODELS = (20, 60, 150)
PLAN_SOLVERS = ("GLOP", "GLOP anew", "HiGHS")
LIMIT_S = 120.0
"""Wall time of one run; none is meant to reach it."""
USED = 1e-7


class CoveringSolver(Protocol):
    """minimize Σ x subject to Σ a x ≥ b, x ≥ 0, that grows by columns."""

    def add(self, pattern: Pattern) -> None:
        """Add a column."""

    def demand(self, demand: NDArray[np.float64]) -> None:
        """Change the right-hand side."""

    def solve(self) -> tuple[list[float], list[float]]:
        """Return the duals of the rows and the values of the columns."""


class GlopCovering:
    """By GLOP through OR-Tools' wrapper of linear solvers.

    Args:
        num_rows: As many as types.
        goes_on: Whether to leave out what makes GLOP forget its last basis.
    """

    def __init__(self, num_rows: int, *, goes_on: bool = False) -> None:
        self._goes_on = goes_on
        self._is_other_demand = False
        self._lp = pywraplp.Solver.CreateSolver("GLOP")
        self._lp.Objective().SetMinimization()
        infinity = self._lp.infinity()
        self._rows = [self._lp.RowConstraint(0, infinity, "") for _ in range(num_rows)]
        self._columns: list[pywraplp.Variable] = []

    def add(self, pattern: Pattern) -> None:
        """Add a column."""
        column = self._lp.NumVar(0, self._lp.infinity(), "")
        self._lp.Objective().SetCoefficient(column, 1.0)
        for item, count in pattern:
            self._rows[item].SetCoefficient(column, count)
        self._columns.append(column)

    def demand(self, demand: NDArray[np.float64]) -> None:
        """Change the right-hand side."""
        self._is_other_demand = True
        for row, copies in zip(self._rows, demand.tolist(), strict=True):
            row.SetLb(copies)

    def solve(self) -> tuple[list[float], list[float]]:
        """Return the duals of the rows and the values of the columns."""
        given = pywraplp.MPSolverParameters()
        if self._goes_on:
            given.SetIntegerParam(given.SCALING, given.SCALING_OFF)
            given.SetIntegerParam(given.PRESOLVE, given.PRESOLVE_OFF)
            algorithm = given.DUAL if self._is_other_demand else given.PRIMAL
            given.SetIntegerParam(given.LP_ALGORITHM, algorithm)
        self._is_other_demand = False
        assert self._lp.Solve(given) == pywraplp.Solver.OPTIMAL
        return (
            [row.dual_value() for row in self._rows],
            [column.solution_value() for column in self._columns],
        )


class HighsCovering:
    """By HiGHS through OR-Tools' MathOpt.

    Through the wrapper of linear solvers HiGHS hands back wrong duals: 3 instead of 1
    for x ≥ 3 (OR-Tools 9.15).
    """

    def __init__(self, num_rows: int) -> None:
        self._model = mathopt.Model()
        self._rows = [self._model.add_linear_constraint(lb=0) for _ in range(num_rows)]
        self._columns: list[mathopt.Variable] = []
        self._solver = mathopt.IncrementalSolver(self._model, mathopt.SolverType.HIGHS)

    def add(self, pattern: Pattern) -> None:
        """Add a column."""
        column = self._model.add_variable(lb=0)
        self._model.objective.set_linear_coefficient(column, 1.0)
        for item, count in pattern:
            self._rows[item].set_coefficient(column, count)
        self._columns.append(column)

    def demand(self, demand: NDArray[np.float64]) -> None:
        """Change the right-hand side."""
        for row, copies in zip(self._rows, demand.tolist(), strict=True):
            row.lower_bound = copies

    def solve(self) -> tuple[list[float], list[float]]:
        """Return the duals of the rows and the values of the columns."""
        result = self._solver.solve()
        assert result.termination.reason is mathopt.TerminationReason.OPTIMAL
        return result.dual_values(self._rows), result.variable_values(self._columns)


class SolvedMaster:
    """What ``PatternMaster`` does, with a solver of its own for the linear program."""

    def __init__(
        self,
        solver: Callable[[int], CoveringSolver],
        demand: NDArray[np.int64],
        max_copies: NDArray[np.int64],
    ) -> None:
        self._lp = solver(len(demand))
        self.patterns: list[Pattern] = []
        self._known: set[Pattern] = set()
        self._values: list[float] = []
        self.add(
            ((item, int(copies)),) for item, copies in enumerate(max_copies.tolist())
        )
        self.demand = demand.astype(np.float64)
        self._lp.demand(self.demand)
        self.optimize()

    @property
    def num_columns(self) -> int:
        """Number of patterns."""
        return len(self.patterns)

    def add(self, patterns: Iterable[Pattern]) -> int:
        """Add patterns that are new; return how many were."""
        before = len(self.patterns)
        for pattern in patterns:
            if pattern not in self._known:
                self._known.add(pattern)
                self.patterns.append(pattern)
                self._lp.add(pattern)
        return len(self.patterns) - before

    def optimize(self, *, deadline: float = math.inf) -> bool:
        """Solve the linear program over the patterns that there are."""
        duals, self._values = self._lp.solve()
        self.duals = np.maximum(np.array(duals), 0.0)
        return True

    def set_demand(
        self, demand: NDArray[np.int64], *, deadline: float = math.inf
    ) -> None:
        """Change the demand and solve again."""
        self.demand = demand.astype(np.float64)
        self._lp.demand(self.demand)
        self.optimize()

    @property
    def value(self) -> float:
        """The optimum of the last solve, by its duals."""
        return float(self.duals @ self.demand)

    def solution(self) -> list[tuple[int, float]]:
        """Return the patterns in use: (column, how many bins)."""
        return [(k, value) for k, value in enumerate(self._values) if value > USED]


class Stopwatch:
    """Hands calls on to a master, and adds up their CPU time."""

    def __init__(self, master: Any) -> None:
        self._master = master
        self.seconds = 0.0
        self.num_calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._master, name)
        if name not in {"optimize", "set_demand", "add"}:
            return found

        def timed(*given: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return found(*given, **named)
            finally:
                self.seconds += time.process_time() - started
                self.num_calls += name != "add"

        return timed


def item_masters(
    generation: ColumnGeneration,
) -> dict[str, Callable[[], PatternMaster | SolvedMaster]]:
    """Return what makes each master for a column generation."""
    demand, most = generation.demand, generation.max_copies
    return {
        "own simplex": lambda: PatternMaster(demand, most, generation.rng),
        "GLOP": lambda: SolvedMaster(GlopCovering, demand, most),
        "GLOP going on": lambda: SolvedMaster(
            partial(GlopCovering, goes_on=True), demand, most
        ),
        "HiGHS": lambda: SolvedMaster(HighsCovering, demand, most),
    }


def run_items(problem: PackingProblem, name: str, *, seed: int) -> dict[str, object]:
    """Return what column generation and one dive with a master take and find."""
    ladder = Ladder(
        canonicalize(problem).problem,
        deadline=time.perf_counter() + LIMIT_S,
        time_limit_s=LIMIT_S,
        max_bins=None,
        seed=seed,
        num_workers=1,
    )
    for _, bound in named_bounds(ladder.problem):
        ladder.raise_bound(bound)
    for bins in constructive_packings(ladder.problem):
        ladder.offer(bins)
    generation = ColumnGeneration(ladder)
    started = time.process_time()
    master = Stopwatch(item_masters(generation)[name]())
    master.seconds = time.process_time() - started
    generation.master = master  # type: ignore[assignment]
    generation.learn(ladder.bins)
    generation.raise_bound()
    at_bound = time.process_time() - started
    value = master.value
    dive(generation, randomize=False)
    return {
        "bound": ladder.bound,
        "linear_value": round(value, 6),
        "num_bins": ladder.num_bins,
        "num_columns": master.num_columns,
        "num_solves": master.num_calls,
        "seconds_to_bound": round(at_bound, 3),
        "seconds": round(time.process_time() - started, 3),
        "master_seconds": round(master.seconds, 3),
    }


@contextmanager
def solving_again(seconds: dict[str, float]) -> Iterator[None]:
    """Solve whatever the capacity engine's master solves by others as well."""
    solve_linear = plan_master.solve_linear

    def timed(
        lp: pywraplp.Solver, *, deadline: float = math.inf, grows: bool = False
    ) -> bool:
        started = time.process_time()
        found = solve_linear(lp, deadline=deadline, grows=grows)
        seconds["GLOP"] += time.process_time() - started
        seconds["num_solves"] += 1
        if not found:
            return found
        text = lp.ExportModelAsMpsFormat(False, False)
        for name, backend in (("GLOP anew", "GLOP"), ("HiGHS", "HIGHS")):
            model = model_builder.Model()
            assert model.import_from_mps_string(text)
            solver = model_builder.Solver(backend)
            started = time.process_time()
            status = solver.solve(model)
            seconds[name] += time.process_time() - started
            value = lp.Objective().Value()
            is_same = status == model_builder.SolveStatus.OPTIMAL and math.isclose(
                solver.objective_value, value, rel_tol=1e-5, abs_tol=1e-6
            )
            seconds[f"{name} differs"] += not is_same
        return found

    plan_master.solve_linear = timed
    try:
        yield
    finally:
        plan_master.solve_linear = solve_linear


def run_plan(goal: Goal, *, num_models: int, seed: int) -> dict[str, object]:
    """Return what the linear programs of one relaxation take, by solver."""
    problem = make_instance(
        num_models=num_models, num_load_points=4, num_types=3, multiple=10, seed=seed
    )
    seconds: dict[str, float] = defaultdict(float)
    with solving_again(seconds):
        deadline = time.perf_counter() + LIMIT_S
        Relaxer(problem, goal, seed=seed, deadline=deadline).run()
    return {name: round(value, 4) for name, value in seconds.items()}


def item_runs() -> Iterator[tuple[dict[str, object], Callable[[], dict[str, object]]]]:
    """Yield what each run of the item engine is, and the run."""
    for (num_types, num_items), seed in product(ITEM_INSTANCES, SEEDS):
        problem = gpu_like_problem(num_types, num_items, seed=seed)
        for name in ("own simplex", "GLOP", "GLOP going on", "HiGHS"):
            if name == "HiGHS" and num_types > MAX_HIGHS_TYPES:
                continue
            what: dict[str, object] = {
                "engine": "items",
                "instance": f"{num_types} types, {num_items:,} items",
                "seed": seed,
                "master": name,
            }
            yield what, partial(run_items, problem, name, seed=seed)


def plan_runs() -> Iterator[tuple[dict[str, object], Callable[[], dict[str, object]]]]:
    """Yield what each run of the capacity engine is, and the run."""
    for num_models, goal, seed in product(
        PLAN_MODELS, (Goal.MIN_COST, Goal.MAX_SERVICE), SEEDS
    ):
        what: dict[str, object] = {
            "engine": "capacity",
            "instance": f"{num_models} models, {goal}",
            "seed": seed,
        }
        yield what, partial(run_plan, goal, num_models=num_models, seed=seed)


def table(lines: Iterable[dict[str, Any]]) -> str:
    """Return medians over seeds, with their range, as Markdown."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        groups[line["engine"], line["instance"], line.get("master", "")].append(line)
    rows = []
    for (engine, instance, master), found in groups.items():
        if engine == "items":
            cells = [
                master,
                *(_median(found, of) for of in ("seconds", "master_seconds")),
                *(_median(found, of) for of in ("num_columns", "bound", "num_bins")),
            ]
        else:
            cells = [_median(found, of) for of in ("num_solves", *PLAN_SOLVERS)]
        rows.append(f"| {instance} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _median(lines: Iterable[dict[str, Any]], field: str) -> str:
    values = sorted(line[field] for line in lines)
    return f"{median(values):.3g} ({values[0]:.3g}–{values[-1]:.3g})"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", help="instances that contain this")
    arguments = parser.parse_args()
    if arguments.table is not None:
        lines = arguments.table.read_text().splitlines()
        print(table(json.loads(line) for line in lines))
        return
    kernels_are_ready(wait_s=60)
    environment = benchmark_environment(seed=0).model_dump(
        mode="json", exclude_none=True
    )
    for what, run in (*item_runs(), *plan_runs()):
        if arguments.only not in str(what["instance"]):
            continue
        text = json.dumps({**what, **run(), "environment": environment})
        if arguments.out is None:
            print(text)
        else:
            with arguments.out.open("a") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
