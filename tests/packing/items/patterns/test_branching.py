"""Branching over listed patterns against brute force."""

import itertools
import math

from hypothesis import given, settings

from gpupack.packing.items.model.problem import canonicalize, check_packing
from gpupack.packing.items.patterns import branching, pattern_program
from gpupack.packing.items.patterns.branching import branch
from gpupack.packing.items.patterns.column_generation import ColumnGeneration
from gpupack.packing.items.patterns.frugal_fillings import list_frugal
from gpupack.packing.items.patterns.pattern_ladder import climb_patterns
from gpupack.packing.items.patterns.pricing import Pricer
from gpupack.packing.items.quick import heuristics
from gpupack.packing.runtime import warm_up
from tests.packing.brute_force import fewest_bins, make_problem
from tests.packing.items.patterns.test_patterns import make_ladder
from tests.packing.strategies import problems

quick = settings(max_examples=30, derandomize=True, deadline=None)


def decide(generation, patterns, num_bins):
    return branch(generation, patterns, num_bins, node_limit=1000)


@quick
@given(problem=problems(max_types=5))
def test_branching_finds_a_packing_exactly_if_there_is_one(problem):
    canonical = canonicalize(problem).problem
    best = fewest_bins(problem)
    ladder = make_ladder(canonical, time_limit_s=120)
    ladder.offer(next(heuristics.constructive_packings(canonical)))
    generation = ColumnGeneration(ladder)
    generation.raise_bound()
    for num_bins in {max(best - 1, ladder.bound), best}:
        useful = pattern_program.enumerate_useful(generation, num_bins)

        assert decide(generation, useful, num_bins)
        assert ladder.num_bins == best if num_bins == best else ladder.bound == best


def two_circles_of_five():
    """Items that only share a bin with their neighbours on a circle of five."""
    neighbours = {
        frozenset({circle + at, circle + (at + 1) % 5})
        for circle in (0, 5)
        for at in range(5)
    }
    conflicts = [
        pair
        for pair in map(frozenset, itertools.combinations(range(10), 2))
        if pair not in neighbours
    ]
    sizes = [[int(item in pair) for pair in conflicts] for item in range(10)]
    return make_problem(sizes=sizes, capacity=[1] * len(conflicts))


def test_a_gap_of_the_linear_program_is_closed_by_branching():
    # Half of every pair of neighbours covers a circle with 5/2 bins, so the
    # linear program needs 5; but whole pairs need 3 bins for each circle.
    problem = two_circles_of_five()
    ladder = make_ladder(problem, time_limit_s=120)
    ladder.offer(next(heuristics.constructive_packings(problem)))
    generation = ColumnGeneration(ladder)
    generation.raise_bound()
    assert ladder.bound == 5
    useful = pattern_program.enumerate_useful(generation, 5)

    assert decide(generation, useful, 5)
    assert ladder.bound == 6
    assert decide(generation, pattern_program.enumerate_useful(generation, 6), 6)

    assert ladder.num_bins == 6
    check_packing(problem, ladder.bins)


def work_within(time_limit_s, monkeypatch):
    """The rungs' answers and the nodes that every exact search was allowed."""
    problem = two_circles_of_five()
    ladder = make_ladder(problem, time_limit_s)
    ladder.raise_bound(4)
    ladder.offer(next(heuristics.constructive_packings(problem)))
    allowed = []

    def record(owner, name):
        function = getattr(owner, name)

        def spy(*args, **kwargs):
            allowed.append((name, kwargs["node_limit"]))
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, spy)

    with monkeypatch.context() as monkeypatch:
        record(Pricer, "price")
        record(Pricer, "price_many")
        record(Pricer, "enumerate_maximal")
        record(branching, "branch")
        # CP-SAT would decide it; leave it to SCIP.
        monkeypatch.setattr(
            pattern_program, "solve_patterns", lambda *_, **__: "UNKNOWN"
        )
        climb_patterns(ladder)
    rungs = [(rung.name, rung.num_bins, rung.bound) for rung in ladder.rungs]
    return allowed, rungs, ladder.bins


def test_with_one_worker_the_work_does_not_depend_on_the_time_left(monkeypatch):
    # Both limits are far more than the climb takes.
    assert warm_up.kernels_are_ready(wait_s=300)

    hurried = work_within(8, monkeypatch)
    patient = work_within(800, monkeypatch)

    assert hurried == patient
    assert {"price", "enumerate_maximal", "branch"} <= {name for name, _ in patient[0]}
    assert patient[1][-1] == ("branching", 6, 6)


def test_a_limit_of_no_time_leaves_it_undecided_or_right():
    problem = make_problem([[4], [6], [3]], [10], [3, 3, 2])
    ladder = make_ladder(problem, time_limit_s=0.001)
    ladder.offer(next(heuristics.constructive_packings(problem)))
    generation = ColumnGeneration(ladder)
    patterns = list_frugal(problem, 4, max_patterns=100, deadline=math.inf)

    branch(generation, patterns, 4, node_limit=1)

    assert ladder.bound <= fewest_bins(problem) <= ladder.num_bins
