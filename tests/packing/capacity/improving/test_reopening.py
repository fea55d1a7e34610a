import math
import time

import pytest
from hypothesis import given, settings

from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.improving.reopening import Reopener
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
