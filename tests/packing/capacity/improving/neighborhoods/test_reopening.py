import math
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings

from benchmarks.plan_instances import make_instance
from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.improving.neighborhoods import reopening
from gpupack.packing.capacity.improving.neighborhoods.reopening import Reopener
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.configurations import Configuration
from gpupack.packing.runtime.warm_up import kernels_are_ready
from tests.packing.capacity.strategies import capacity_problems


def setup_module():
    assert kernels_are_ready(wait_s=120)


def uses_of(plan):
    uses = {}
    for one in plan.bins:
        counts = tuple((group.option, group.num_copies) for group in one.copies)
        key = Configuration(one.bin_type, counts)
        uses[key] = uses.get(key, 0) + one.multiplicity
    return tuple(sorted(uses.items()))


def value_of(problem, goal, uses):
    """Return what these bins serve, as a plan that may use no others."""
    plan = Reopener(problem, goal, bound=math.inf, seed=0)._filled(uses)
    return -math.inf if plan is None else plan.value


def test_two_bins_that_hold_the_wrong_halves_are_paired_anew():
    # Bins of 10; jobs 6 + 4 and 7 + 3 fill two bins, 6 + 3 and 4 leave the 7 out.
    # Jobs may be left out, and serve their size: 20 at best, 13 to start from.
    sizes = (6, 4, 7, 3)
    problem = CapacityProblem(
        (BinType((10, 1), count=2),),
        tuple(Job(demand=size, is_optional=True) for size in sizes),
        tuple(
            Option(job, 0, (size, 0), (0, 0), size) for job, size in enumerate(sizes)
        ),
    )
    start = (
        (Configuration(0, ((0, 1), (3, 1))), 1),
        (Configuration(0, ((1, 1),)), 1),
    )

    found = Reopener(problem, Goal.MAX_SERVICE, bound=20.0, seed=0).run(
        start, deadline=time.perf_counter() + 20, target_gap=0.0
    )

    assert value_of(problem, Goal.MAX_SERVICE, start) == pytest.approx(13)
    assert value_of(problem, Goal.MAX_SERVICE, found) == pytest.approx(20)


@settings(max_examples=15, deadline=None)
@given(problem=capacity_problems(counted=True, has_demand=True))
def test_reopening_never_loses_service_nor_a_job_that_must_run(problem):
    plan = plan_capacity(problem, Goal.MAX_SERVICE)
    if not plan.is_found:
        return
    best = uses_of(plan)

    found = Reopener(problem, Goal.MAX_SERVICE, bound=math.inf, seed=1).run(
        best, deadline=time.perf_counter() + 0.2, target_gap=0.0
    )

    # The start is optimal: what comes back serves as much, and no more.
    assert value_of(problem, Goal.MAX_SERVICE, found) == pytest.approx(
        plan.value, rel=1e-5, abs=1e-5
    )


@pytest.mark.parametrize("num_workers", [1, 2])
def test_reopening_ends_by_its_work_and_finds_the_same_twice(num_workers, monkeypatch):
    monkeypatch.setattr(reopening, "MAX_VAIN", 6)
    # Options 0, 6 and 12 are of three models and the first type, 21 of another and
    # the second: each alone in a bin, where most of the room is left.
    problem = make_instance(
        num_models=8, num_load_points=3, num_types=2, multiple=2, seed=1
    )
    problem = replace(
        problem,
        bin_types=tuple(
            replace(one, count=count)
            for one, count in zip(problem.bin_types, (3, 1), strict=True)
        ),
        jobs=tuple(replace(job, is_optional=True) for job in problem.jobs),
    )
    start = tuple(
        (Configuration(one.bin_type, ((index, 1),)), 1)
        for index, one in enumerate(problem.options)
        if index in {0, 6, 12, 21}
    )

    first, second = (
        Reopener(
            problem,
            Goal.MAX_SERVICE,
            bound=math.inf,
            seed=3,
            num_workers=num_workers,
        ).run(start, deadline=math.inf, target_gap=0.0)
        for _ in range(2)
    )

    assert first == second
    assert value_of(problem, Goal.MAX_SERVICE, first) > value_of(
        problem, Goal.MAX_SERVICE, start
    )
