import math
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan_instances import limit_fleet, make_instance
from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.improving.construction import first_plan
from gpupack.packing.capacity.improving.neighborhoods import reassigning
from gpupack.packing.capacity.improving.neighborhoods.reassigning import Reassigner
from gpupack.packing.capacity.improving.neighborhoods.share_raising import (
    ShareRaiser,
    scaled_to,
)
from gpupack.packing.capacity.improving.share_search import ShareSearch
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.configurations import (
    Configuration,
    fixed_room_left,
)
from gpupack.packing.capacity.relaxing.measures import Measure
from gpupack.packing.capacity.relaxing.program import CapacityProgram
from gpupack.packing.capacity.relaxing.relaxation import Relaxer
from gpupack.packing.capacity.task import uses_of
from gpupack.packing.runtime.stoppable import new_flag
from gpupack.packing.runtime.warm_up import kernels_are_ready


def setup_module():
    assert kernels_are_ready(wait_s=120)


def value_of(problem, uses):
    """Return the most that these bins serve, having checked that copies fit."""
    assert all(min(fixed_room_left(problem, one)) >= 0 for one, _ in uses)
    program = CapacityProgram(problem, [one for one, _ in uses], in_full=False, seed=0)
    program.fix([(place, number) for place, (_, number) in enumerate(uses)])
    result = program.solve(Measure.SERVICE, time_limit_s=20)
    assert result.state == "optimal"
    return result.value


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

    found = Reassigner(problem, bound=20.0, seed=0).run(
        start, deadline=time.perf_counter() + 20, target_gap=0.0
    )

    assert value_of(problem, start) == pytest.approx(13)
    assert value_of(problem, found) == pytest.approx(20)


@st.composite
def problems_of_few_jobs(draw):
    """Return a problem of jobs of every kind, all of which are freed in one step."""
    jobs, options = [], []
    for index in range(draw(st.integers(1, 4))):
        is_whole = draw(st.booleans())
        copies = draw(st.integers(1, 2))
        most = draw(st.sampled_from([None, copies, 3]))
        jobs.append(
            Job(
                demand=None if is_whole else draw(st.integers(0, 12)),
                copies=copies,
                weight=draw(st.sampled_from([0.5, 1.0, 2.0])),
                max_copies=None if is_whole else most,
                is_optional=draw(st.booleans()),
            )
        )
        for bin_type in range(2):
            for _ in range(draw(st.integers(0 if bin_type else 1, 2))):
                load = draw(st.integers(1, 8))
                options.append(
                    Option(
                        job=index,
                        bin_type=bin_type,
                        fixed=(draw(st.integers(2, 6)), load if is_whole else 0),
                        proportional=(0, 0 if is_whole else load),
                        rate=draw(st.integers(3, 9)),
                    )
                )
    bin_types = tuple(
        BinType(
            (draw(st.integers(6, 12)), 10), count=draw(st.integers(1, 2)), cost=cost
        )
        for cost in (2, 3)
    )
    budget = draw(st.sampled_from([None, 6]))
    return CapacityProblem(bin_types, tuple(jobs), tuple(options), budget=budget)


@settings(max_examples=60, deadline=None)
@given(problem=problems_of_few_jobs())
def test_where_every_job_is_freed_the_best_plan_is_found(problem):
    best = plan_capacity(problem, Goal.MAX_SERVICE, time_limit_s=20)
    start = uses_of(first_plan(problem, Goal.MAX_SERVICE, seed=0))
    if not start or problem.budget is not None:
        # Bins that a budget has bought are not sold: no more than no loss is promised.
        best = replace(best, value=0.0)
    if not start:
        return

    found = Reassigner(problem, bound=math.inf, seed=1).run(
        start, deadline=math.inf, target_gap=0.0, max_vain=3
    )

    value = value_of(problem, found)
    assert value >= value_of(problem, start) * (1 - 1e-6)
    assert value >= best.value * (1 - 1e-3)
    spent = sum(problem.bin_types[one.bin_type].cost * n for one, n in found)
    assert problem.budget is None or spent <= problem.budget


@pytest.mark.parametrize("num_workers", [1, 2])
def test_reassigning_ends_by_its_work_and_finds_the_same_twice(
    num_workers, monkeypatch
):
    monkeypatch.setattr(reassigning, "MAX_VAIN", 6)
    monkeypatch.setattr(reassigning, "MOST_BINS", 3)
    problem = limit_fleet(
        make_instance(
            num_models=12, num_load_points=3, num_types=2, multiple=2, seed=1
        ),
        0.7,
    )
    start = uses_of(first_plan(problem, Goal.MAX_SERVICE, seed=0))

    first, second = (
        Reassigner(problem, bound=math.inf, seed=3, num_workers=num_workers).run(
            start, deadline=math.inf, target_gap=0.0
        )
        for _ in range(2)
    )

    assert first == second
    assert value_of(problem, first) > value_of(problem, start)


def test_reassigning_raises_the_smallest_share_by_pairing_busy_jobs_with_idle_ones():
    # Two copies fill a bin of memory 10; all that two jobs want takes 9 of its 10
    # units of time each, of the others 1. Together the busy ones get 10 / 18 of what
    # they want; each with an idle one, all of it.
    busy = (9, 9, 1, 1)
    problem = CapacityProblem(
        (BinType((10, 10), count=2),),
        tuple(Job(demand=10) for _ in busy),
        tuple(Option(job, 0, (5, 0), (0, time_), 10) for job, time_ in enumerate(busy)),
    )
    raiser = ShareRaiser(problem, seed=0)
    deadline = time.perf_counter() + 60
    raiser.start_from(
        (
            (Configuration(0, ((0, 1), (1, 1))), 1),
            (Configuration(0, ((2, 1), (3, 1))), 1),
        ),
        deadline=deadline,
    )
    assert raiser.share == pytest.approx(10 / 18)

    raiser.run(bound=lambda: 1.0, deadline=deadline, target_gap=0.0)

    assert raiser.share == pytest.approx(1.0, rel=1e-5)


def crowded(busy):
    """Two bins, in each of which a busy job and an idle one share 10 units of time."""
    return CapacityProblem(
        (BinType((10, 10), count=2),),
        tuple(Job(demand=1000) for _ in range(4)),
        tuple(
            Option(job, 0, (5, 0), (0, time_), 1000)
            for job, time_ in enumerate((busy, busy, 1, 1))
        ),
    )


@pytest.mark.parametrize("likely", [None, 0.3, 0.9, 1.0])
@pytest.mark.parametrize(("busy", "best"), [(9, 1.0), (10, 10 / 11)])
def test_relaxations_of_scaled_demands_never_refute_the_best_share(busy, best, likely):
    # Of 9 + 1 that they want they get all, of 10 + 1 ten parts of eleven.
    search = ShareSearch(crowded(busy), (), near=(2,), bound=1.0, likely=likely, seed=0)

    search._lower_bound(time.perf_counter() + 20)

    assert search.bound == pytest.approx(best, rel=5e-3)
    assert search.bound >= best * (1 - 1e-6)


def test_prices_of_other_demands_bound_the_share_before_a_relaxation_is_solved():
    def shares(demand_factor, center):
        told = []
        relaxer = Relaxer(
            scaled_to(crowded(10), demand_factor),
            Goal.MIN_BINS,
            deadline=time.perf_counter() + 20,
            seed=0,
        )
        relaxer.start_from(())
        deadline = time.perf_counter() + (20 if center is None else 0)
        found = relaxer.share(
            (2,),
            deadline=deadline,
            patience=deadline,
            close=1e-4,
            center=center,
            tell=told.append,
        )
        return found, told

    first, _ = shares(1.0, None)
    assert first.most == pytest.approx(10 / 11, rel=1e-3)

    second, told = shares(0.95, first.center)

    assert told == [second.most]
    assert 0.95 * second.most == pytest.approx(10 / 11, rel=1e-2)


def test_annealing_for_a_share_in_full_finds_the_plan_that_gives_it():
    problem = crowded(10)
    relaxer = Relaxer(
        problem, Goal.MAX_MIN_SHARE, deadline=time.perf_counter() + 20, seed=0
    )
    relaxer.run()
    search = ShareSearch(problem, (), near=(2,), bound=10 / 11, likely=10 / 11, seed=0)
    search._guides[1.0] = (2,), relaxer.guide()
    search.share = 0.1

    search._fill_in_full(time.perf_counter() + 20, new_flag())

    assert search.share == pytest.approx(10 / 11, rel=0.05)
