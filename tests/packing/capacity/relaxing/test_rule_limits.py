"""How often the rule of who may share is asked, and how much is kept of its answers."""

import math
import time
from dataclasses import replace
from unittest import mock

from gpupack.packing.capacity.improving import completion, construction
from gpupack.packing.capacity.improving.completion import Clock, Completion
from gpupack.packing.capacity.improving.construction import first_plan
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Counts,
    Goal,
    Job,
    Option,
)
from gpupack.packing.capacity.model.configurations import (
    Configuration,
    enumerate_configurations,
)
from gpupack.packing.capacity.model.plan_check import check_plan
from gpupack.packing.capacity.relaxing import pricing_model
from gpupack.packing.capacity.relaxing.bin_patterns import Prices
from gpupack.packing.capacity.relaxing.pricing_model import ModelPricer
from gpupack.packing.capacity.relaxing.relaxation import Relaxer


class Counted:
    """At most so many copies share a bin; counts how often that is asked."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.num_asked = 0

    def __call__(self, bin_type: int, counts: Counts) -> bool:
        self.num_asked += 1
        return sum(copies for _, copies in counts) <= self.most


def problem_of(num_jobs: int, rule: Counted, *, demand: int = 50) -> CapacityProblem:
    """Jobs whose copies take a thousandth of a bin and serve 1 each."""
    return CapacityProblem(
        bin_types=(BinType((1000,)),),
        jobs=tuple(Job(demand=demand) for _ in range(num_jobs)),
        options=tuple(Option(job, 0, (1,), (0,), 1) for job in range(num_jobs)),
        rule=rule,
    )


def test_the_first_plan_asks_a_limited_number_of_times_and_keeps_the_rule() -> None:
    rule = Counted(most=4)
    problem = problem_of(200, rule)
    bins = first_plan(problem, Goal.MIN_BINS, seed=0)
    # And six for each option: 1, 2, 4, 8, 6 and 5 copies of it.
    assert rule.num_asked <= construction.MAX_RULE_ASKED + 200 * 6
    check_plan(problem, bins, in_full=True)
    assert all(sum(n for _, n in one.counts) <= 4 for one in bins)


def test_patience_with_the_rule_is_no_reason_to_find_nothing() -> None:
    rule = Counted(most=4)
    problem = problem_of(20, rule, demand=3)
    with mock.patch.object(construction, "MAX_RULE_ASKED", 0):
        bins = first_plan(problem, Goal.MIN_BINS, seed=0)
    # One, two and three copies of each option.
    assert rule.num_asked == 20 * 3
    # Every job in a bin of its own.
    assert sum(one.multiplicity for one in bins) == 20


def test_greedy_patterns_do_without_the_rule_once_time_is_up() -> None:
    rule = Counted(most=4)
    problem = problem_of(50, rule)
    relaxer = Relaxer(problem, Goal.MIN_BINS, deadline=-math.inf, seed=0)
    relaxation = relaxer.run()
    assert rule.num_asked == 0
    assert {one.counts for one in relaxation.configurations} == {
        ((job, 1),) for job in range(50)
    }


def test_copies_of_an_option_are_counted_by_doubling_and_halving() -> None:
    rule = Counted(most=150)
    problem = problem_of(1, rule, demand=1000)
    configurations = enumerate_configurations(problem, limit=10_000)
    assert configurations == [Configuration(0, ((0, 150),))]
    # Some 16 to find 150, and whether a copy could be added to each smaller filling.
    assert rule.num_asked <= 16 + 151


def test_many_forbidden_sets_are_not_all_kept_and_the_bound_still_holds() -> None:
    # Three jobs of which no two may share: three pairs are forbidden.
    problem = replace(
        problem_of(3, Counted(1), demand=1), rule=lambda _, counts: len(counts) <= 1
    )
    prices = Prices(problem, [1.0, 2.0, 4.0], [0.0] * 3, [0.0] * 3)
    for most_crowds in (0, 1, 2_000):
        with mock.patch.object(pricing_model, "MAX_CROWDS", most_crowds):
            pricer = ModelPricer(problem, 0, seed=0)
            pattern, bound = pricer.best(prices, time_limit_s=10)
        # The best allowed one holds the job that is worth 4 alone.
        assert bound >= 4.0 - 1e-6
        assert len(pricer._crowds) <= max(1, most_crowds)
        if pattern is not None:
            assert prices.value(pattern) <= 4.0 + 1e-6
            assert len(pattern.configuration.counts) == 1
    assert pattern is not None
    assert prices.value(pattern) > 4.0 - 1e-3


def test_a_solution_of_needlessly_many_bins_is_no_plan() -> None:
    problem = problem_of(1, Counted(10), demand=50)
    clock = Clock(time.perf_counter(), 60.0)
    chosen = [Configuration(0, ((0, 10),))]
    enough = Completion(problem, Goal.MIN_BINS, clock, seed=0, target_gap=0.0)
    result, bins = enough.choose(chosen)
    assert result.state == "optimal"
    assert sum(one.multiplicity for one in bins) == 5
    with mock.patch.object(completion, "MAX_BINS", 4):
        result, bins = enough.choose(chosen)
    assert (result.state, bins) == ("unknown", ())


def test_no_plan_is_chosen_that_is_worse_than_one_that_is_known() -> None:
    problem = problem_of(1, Counted(10), demand=50)
    clock = Clock(time.perf_counter(), 60.0)
    chosen = [Configuration(0, ((0, 10),))]
    choice = Completion(problem, Goal.MIN_BINS, clock, seed=0, target_gap=0.0)
    assert choice.choose(chosen, known_value=5)[0].value == 5
    assert choice.choose(chosen, known_value=4)[0].state == "infeasible"
