"""Bins filled with little slack: plans that hold, close to what prices prove."""

import random

import numpy as np
import pytest

from gpupack.packing.capacity import capacity_ladder, plan_capacity, starting
from gpupack.packing.capacity.many_jobs import (
    OptionArrays,
    RoomPricing,
    SlackSearch,
    minimum_slack,
    ruin_recreate,
)
from gpupack.packing.capacity.model import (
    BinType,
    CapacityProblem,
    Goal,
    Job,
    Option,
    PlanStatus,
    check_plan,
)
from gpupack.packing.kernels import build
from gpupack.packing.kernels.capacity import minimum_slack as kernels
from gpupack.packing.runtime import kernels_are_ready

pytestmark = pytest.mark.skipif(
    not build.has_compiler(), reason="there is no C compiler"
)


@pytest.fixture(autouse=True)
def _ready():
    assert kernels_are_ready(wait_s=120)


def drawn(seed, *, num_jobs=150, counts=(None, None), is_mixed=True):
    """Return jobs with demands, and if mixed of whole copies and of limited ones."""
    rng = random.Random(seed)
    bin_types = tuple(
        BinType((memory, 1_000, 1_000), cost, count)
        for (memory, cost), count in zip(
            [(1_000, 10), (2_500, 23)], counts, strict=True
        )
    )
    jobs, options = [], []
    for index in range(num_jobs):
        kind = rng.randrange(6) if is_mixed else 5
        demand = rng.randint(1, 4_000)
        if kind == 0:
            jobs.append(Job(copies=rng.randint(1, 30)))
        elif kind == 1:
            jobs.append(Job(demand=0, copies=rng.randint(1, 2)))
        elif kind == 2:
            jobs.append(Job(demand=demand, copies=rng.randint(2, 4)))
        elif kind == 3:
            jobs.append(Job(demand=demand, max_copies=-(-demand // 1_000) + 1))
        else:
            jobs.append(Job(demand=demand))
        for bin_type in range(2):
            for rate in (1_000, 1_700):
                load = rng.randint(100, 900)
                is_whole = jobs[-1].is_whole
                fixed = (rng.randint(20, 500), load if is_whole else 0, 0)
                loaded = (0, 0, 0) if is_whole else (0, load, load // 2)
                options.append(Option(index, bin_type, fixed, loaded, rate))
    return CapacityProblem(bin_types, tuple(jobs), tuple(options))


def search_of(problem, goal=Goal.MIN_COST, seed=0):
    options = OptionArrays.of(problem)
    prices = RoomPricing(problem, goal, options).best()
    return SlackSearch(problem, goal, options, prices.weights, seed=seed), prices.bound


@pytest.mark.parametrize("goal", [Goal.MIN_BINS, Goal.MIN_COST])
@pytest.mark.parametrize("seed", range(6))
def test_plans_hold_and_cost_no_less_than_the_bound(goal, seed):
    problem = drawn(seed)
    search, bound = search_of(problem, goal, seed)
    plan = search.run()
    better = search.improved(plan, bound=bound, deadline=np.inf)
    for one in (plan, better):
        bins = search.filled(one)
        check_plan(problem, bins, in_full=True)
        prices = problem.prices(goal)
        assert one.cost == sum(prices[b.bin_type] * b.multiplicity for b in bins)
        assert bound <= one.cost
    assert better.cost <= plan.cost


def test_service_that_can_be_parted_fills_bins_to_within_three_percent():
    problem = drawn(1, num_jobs=600, is_mixed=False)
    search, bound = search_of(problem)
    plan = search.improved(search.run(), bound=bound, deadline=np.inf)
    assert plan.cost <= bound * 1.03


def test_the_same_problem_and_seed_give_the_same_plan():
    problem = drawn(2)
    first, second = (search_of(problem, seed=3)[0] for _ in range(2))
    plans = [
        search.filled(search.improved(search.run(), bound=0, deadline=np.inf))
        for search in (first, second)
    ]
    assert plans[0] == plans[1]


def test_counted_bins_are_not_used_beyond_their_count():
    problem = drawn(3, counts=(None, 4))
    search, _ = search_of(problem)
    bins = search.filled(search.run())
    check_plan(problem, bins, in_full=True)


def test_too_few_bins_give_no_plan():
    problem = drawn(3, counts=(2, 2))
    search, _ = search_of(problem)
    assert search.run() is None


def test_late_a_first_plan_is_made_and_no_other(monkeypatch):
    problem = drawn(4)
    search, bound = search_of(problem)
    calls = []
    fill = SlackSearch._filled_up
    monkeypatch.setattr(
        SlackSearch,
        "_filled_up",
        lambda self, *a, **k: calls.append(1) or fill(self, *a, **k),
    )
    plan = search.run(deadline=-np.inf)
    assert plan is not None
    assert len(calls) == 1
    assert search.improved(plan, bound=bound, deadline=-np.inf) is plan
    assert len(calls) == 1


def test_the_kernel_stops_once_its_flag_is_up():
    problem = drawn(5)
    search, _ = search_of(problem)
    numbers = []

    def stopped(self, offers, fillings, num_sampled, seed, stop):
        numbers.append(
            kernels.fill_by_slack(
                offers,
                fillings,
                num_sampled=num_sampled,
                node_limit=minimum_slack.MAX_NODES,
                slack=minimum_slack.SLACK,
                seed=seed,
                stop=np.ones(1, dtype=np.int8),
            )
        )
        return numbers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SlackSearch, "_call", stopped)
        assert search.run() is None
    assert numbers
    assert not any(numbers)


def test_equal_copies_by_the_million_are_counted():
    # Two of these fill a bin: half a million bins, in a handful of fillings.
    jobs = tuple(Job(demand=10_000_000) for _ in range(100))
    options = tuple(Option(job, 0, (1, 0), (0, 50), 1_000) for job in range(100))
    problem = CapacityProblem((BinType((2, 100)),), jobs, options)
    search, _ = search_of(problem, Goal.MIN_BINS)
    plan = search.run()
    assert plan.cost == 500_000
    assert len(plan.number) <= 400


def test_many_jobs_are_planned_without_a_linear_program_over_fillings(monkeypatch):
    monkeypatch.setattr(capacity_ladder, "MAX_RELAXED_JOBS", 400)
    monkeypatch.setattr(starting, "MAX_FITTED_JOBS", 400)
    monkeypatch.setattr(starting, "LAST_IN_VAIN", 20)
    problem = drawn(6, num_jobs=500, is_mixed=False)
    plan = plan_capacity(problem, Goal.MIN_COST, time_limit_s=20, num_workers=1)
    assert plan.found_by == "minimum slack"
    assert plan.bound <= plan.value <= plan.bound * 1.03


def test_without_kernels_the_first_plan_is_by_first_fit(monkeypatch):
    monkeypatch.setattr(capacity_ladder, "MAX_GENERATED_JOBS", 120)
    monkeypatch.setattr(starting, "kernels_are_ready", lambda *, wait_s: False)
    plan = plan_capacity(drawn(7), Goal.MIN_COST, time_limit_s=1, num_workers=1)
    assert plan.status is PlanStatus.FEASIBLE
    assert plan.found_by == "first fit"


def indivisible(seed, *, num_jobs=120):
    """Return jobs of one option each, whose copies are a large part of a bin."""
    rng = random.Random(seed)
    jobs, options = [], []
    for index in range(num_jobs):
        jobs.append(Job(demand=rng.randint(1, 6_000)))
        load = rng.choice([480, 520, 600, 790])
        memory = rng.randint(30, 880)
        options.append(Option(index, 0, (memory, 0), (0, load), 1_000))
    return CapacityProblem((BinType((1_000, 1_000)),), tuple(jobs), tuple(options))


def test_ruin_and_recreate_saves_bins_that_filling_anew_does_not(monkeypatch):
    problem = indivisible(1)
    search, bound = search_of(problem, Goal.MIN_BINS)
    first = search.run()
    with monkeypatch.context() as patched:
        patched.setattr(SlackSearch, "_recreated", lambda *_: None)
        without = search.improved(first, bound=bound, deadline=np.inf)
    better = search.improved(first, bound=bound, deadline=np.inf)
    check_plan(problem, search.filled(better), in_full=True)
    assert better.cost < without.cost


def test_bins_that_would_take_too_much_memory_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(ruin_recreate, "MAX_PLACES", 10)
    problem = indivisible(2)
    search, _ = search_of(problem, Goal.MIN_BINS)
    first = search.run()
    assert ruin_recreate.PackedBins.of(first, OptionArrays.of(problem)) is None
    assert search.improved(first, bound=0, deadline=np.inf).cost <= first.cost
