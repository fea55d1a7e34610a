"""With one worker, the same problem and seed give the same answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from ortools.sat.python import cp_model

from gpupack.errors import InvalidInputError
from gpupack.packing.capacity import capacity_ladder as capacity_solve
from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.improving.completion import Clock
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.plan import PlanStatus
from gpupack.packing.capacity.plan_programs import bin_by_bin
from gpupack.packing.items.model.problem import ItemType, PackingProblem
from gpupack.packing.items.search.packing_solve import solve

ANSWERS = """
import random
from gpupack.packing.capacity.model.capacity_problem import *
from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.items.model.problem import ItemType, PackingProblem
from gpupack.packing.items.search.packing_solve import solve

draw = random.Random(0)
items = tuple(
    ItemType((draw.randint(200, 400), draw.randint(200, 400))) for _ in range(60)
)
result = solve(PackingProblem((1000, 1000), items), time_limit_s=250, num_workers=1)
print(result.status, result.bins)
jobs, options = [], []
for job in range(9):
    jobs.append(Job(demand=draw.randint(100, 900)))
    for bin_type, rate in ((0, 300), (1, 500)):
        size = draw.randint(10, 40)
        options.append(
            Option(job, bin_type, (size, 0), (0, draw.randint(30, 90)), rate)
        )
bins = (BinType((100, 100), cost=2), BinType((120, 100), cost=3))
problem = CapacityProblem(bins, tuple(jobs), tuple(options))
plan = plan_capacity(problem, Goal.MIN_COST, time_limit_s=250, num_workers=1)
print(plan.status, plan.bins)
"""


def test_one_worker_gives_the_same_bins_in_every_process() -> None:
    # Sets of strings are in another order for every hash seed.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ANSWERS],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("0", "1", "2")
    ]
    said = [process.communicate()[0] for process in processes]

    assert said[0].count("OPTIMAL") == 2
    assert said[1:] == said[:1] * 2


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the workers of every solve of CP-SAT from now on."""
    seen: list[int] = []
    original = cp_model.CpSolver.solve

    def noted(self: cp_model.CpSolver, *args: Any, **kwargs: Any) -> Any:
        seen.append(self.parameters.num_workers)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(cp_model.CpSolver, "solve", noted)
    return seen


def test_cp_sat_gets_the_workers_of_a_packing(
    workers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three items of 0.4 do not fit a bin of 1, so ten need 5 bins; the bounds are
    # silenced for CP-SAT to be asked.
    monkeypatch.setattr(
        "gpupack.packing.items.search.packing_solve.kernels_are_ready",
        lambda *, wait_s: False,
    )
    monkeypatch.setattr(
        "gpupack.packing.items.search.packing_solve.kernels_are_coming", lambda: False
    )
    monkeypatch.setattr(
        "gpupack.packing.items.search.packing_solve.named_bounds", lambda _: [("", 1)]
    )
    monkeypatch.setattr("gpupack.packing.items.search.packing_solve.MAX_SMALL_ITEMS", 0)
    problem = PackingProblem((10,), (ItemType((4,), 10),))
    for num_workers in (1, 2):
        workers.clear()
        assert solve(problem, time_limit_s=60, num_workers=num_workers).bound == 5
        assert set(workers) == {num_workers}


def test_cp_sat_gets_the_workers_of_a_capacity_plan(workers: list[int]) -> None:
    # Four jobs that take 60 % of a bin each need 2.4 bins, so three; the bound is
    # weakened for the plain model to be asked.
    problem = CapacityProblem(
        (BinType((10, 100)),),
        tuple(Job(demand=6) for _ in range(4)),
        tuple(Option(job, 0, (1, 0), (0, 100), 10) for job in range(4)),
    )
    plan = plan_capacity(problem, Goal.MIN_BINS)
    assert plan.value == 3
    unproved = replace(plan, bound=2, status=PlanStatus.FEASIBLE)
    for num_workers in (1, 2):
        workers.clear()
        search = capacity_solve._Search(
            problem,
            Goal.MIN_BINS,
            Clock(time.perf_counter(), 60.0),
            seed=0,
            num_workers=num_workers,
            target_gap=0.0,
        )
        assert bin_by_bin(search._task, unproved).bound == 3
        assert set(workers) == {num_workers}


def test_no_workers_are_refused() -> None:
    problem = CapacityProblem(
        (BinType((1,)),), (Job(),), (Option(0, 0, (1,), (0,), 1),)
    )
    with pytest.raises(InvalidInputError, match="num_workers is 0"):
        plan_capacity(problem, Goal.MIN_BINS, num_workers=0)
