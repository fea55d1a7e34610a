import math
import random
from dataclasses import replace

import pytest
from ortools.linear_solver import pywraplp

from gpupack.packing.capacity.model.capacity_problem import (
    MAX_SIZE,
    BinType,
    CapacityProblem,
    Job,
    Option,
)
from gpupack.packing.capacity.model.configurations import (
    fixed_room_left,
    useful_options,
)
from gpupack.packing.capacity.relaxing.bin_patterns import PatternFinder, Prices
from gpupack.packing.capacity.relaxing.bin_pricing import GAPS, CompiledPricer
from gpupack.packing.capacity.relaxing.pricing_model import ModelPricer
from gpupack.packing.runtime.stoppable import new_flag

PRECISION = 1e-6
BATCHES = 10


def random_problem(rng, *, num_jobs, num_options, limits_copies=True):
    num_dimensions = rng.randint(1, 3)
    capacity = [rng.choice([0, rng.randint(5, 12), 100, 10_000]) for _ in "d" * 3]
    capacity = (rng.randint(5, 100), *capacity[: num_dimensions - 1])
    jobs, options = [], []
    for index in range(rng.randint(1, num_jobs)):
        is_whole = rng.random() < 0.3
        copies = rng.choice([1, 1, 2, 3])
        most = copies + rng.randint(0, 2)
        jobs.append(
            Job(
                demand=None if is_whole else rng.choice([0, rng.randint(1, 60)]),
                copies=copies,
                max_copies=(
                    most if limits_copies and not is_whole and index % 3 == 0 else None
                ),
                is_optional=rng.random() < 0.2,
            )
        )
        for _ in range(rng.randint(1, num_options)):
            fixed = (rng.choice([0, rng.randint(0, one // 2)]) for one in capacity)
            loaded = (rng.choice([0, rng.randint(0, 2 * one)]) for one in capacity)
            options.append(
                Option(
                    index,
                    0,
                    tuple(fixed),
                    tuple(0 if is_whole else one for one in loaded),
                    rng.randint(1, 20),
                )
            )
    return CapacityProblem((BinType(capacity),), tuple(jobs), tuple(options))


def random_prices(rng, problem):
    def price():
        return rng.choice([0.0, rng.random(), 10 * rng.random()])

    jobs = [problem.jobs[one.job] for one in problem.options]
    service = [price() for _ in problem.jobs]
    one_more = [-0.1 * price() if one.max_copies else 0.0 for one in problem.jobs]
    return Prices(
        problem,
        [
            service[one.job] * one.rate / job.demand if job.demand else 0.0
            for one, job in zip(problem.options, jobs, strict=True)
        ],
        [
            price() if job.is_whole else one_more[one.job]
            for one, job in zip(problem.options, jobs, strict=True)
        ],
        [0.0 if one.is_whole or one.is_optional else price() for one in problem.jobs],
    )


def best_by_program(problem, prices):
    """Return the value of the best pattern, by SCIP on the formulas as they stand."""
    mip = pywraplp.Solver.CreateSolver("SCIP")
    rows = [[] for _ in problem.bin_types[0].capacity]
    copies = [[] for _ in problem.jobs]
    served = [[] for _ in problem.jobs]
    worth = []
    for index in useful_options(problem, 0):
        option = problem.options[index]
        job = problem.jobs[option.job]
        number = mip.IntVar(0, 100, "")
        load = mip.NumVar(0, 100 if job.demand else 0, "")
        mip.Add(load <= number)
        copies[option.job].append(number)
        if job.demand:
            served[option.job].append(option.rate / job.demand * load)
        worth += [prices.per_copy[index] * number, prices.per_load[index] * load]
        for row, fixed, loaded in zip(
            rows, option.fixed, option.proportional, strict=True
        ):
            row += [fixed * number, loaded * load]
    for row, room in zip(rows, problem.bin_types[0].capacity, strict=True):
        mip.Add(mip.Sum(row) <= room)
    for index, job in enumerate(problem.jobs):
        most = job.copies if job.is_whole else job.max_copies or math.inf
        number = mip.Sum(copies[index]) if copies[index] else mip.NumVar(0, 0, "")
        mip.Add(mip.Sum(served[index]) <= 1)
        if math.isfinite(most):
            mip.Add(number <= most)
        credited = mip.NumVar(0, job.copies, "")
        mip.Add(credited <= number)
        worth.append(prices.per_wanted[index] * credited)
    mip.Maximize(mip.Sum(worth))
    exactly = pywraplp.MPSolverParameters()
    exactly.SetDoubleParam(exactly.RELATIVE_MIP_GAP, 1e-9)
    assert mip.Solve(exactly) == pywraplp.Solver.OPTIMAL
    return mip.Objective().Value()


def priced(problem, prices, *, expected=0.0):
    found = CompiledPricer(problem, 0).best(
        prices,
        PatternFinder(problem, 0).weights(prices),
        known=0.0,
        price=expected,
        node_limit=1_000_000,
        stop=new_flag(),
    )
    return found, max((prices.value(one) for one in found.patterns), default=0.0)


def scaled(problem, factor):
    """Return the problem in smaller units of room."""

    def all_times(sizes):
        return tuple(size * factor for size in sizes)

    return CapacityProblem(
        tuple(
            replace(one, capacity=all_times(one.capacity)) for one in problem.bin_types
        ),
        problem.jobs,
        tuple(
            replace(
                one,
                fixed=all_times(one.fixed),
                proportional=all_times(one.proportional),
            )
            for one in problem.options
        ),
    )


@pytest.mark.parametrize("seed", range(40))
def test_sizes_near_the_64_bit_limit_are_priced_as_small_ones(seed):
    rng = random.Random(seed)
    problem = random_problem(rng, num_jobs=5, num_options=3)
    prices = random_prices(rng, problem)
    most = max(
        *problem.bin_types[0].capacity,
        *(size for one in problem.options for size in (*one.fixed, *one.proportional)),
    )

    found, value = priced(problem, prices)
    far = scaled(problem, MAX_SIZE // most)
    far_found, far_value = priced(
        far, Prices(far, prices.per_load, prices.per_copy, prices.per_wanted)
    )

    assert far_found.bound == pytest.approx(found.bound, rel=PRECISION, abs=PRECISION)
    assert far_value == pytest.approx(value, rel=PRECISION, abs=PRECISION)


def assert_fits(problem, pattern):
    left = fixed_room_left(problem, pattern.configuration)
    for dimension, room in enumerate(left):
        used = sum(
            load * problem.options[index].proportional[dimension]
            for (index, _), load in zip(
                pattern.configuration.counts, pattern.loads, strict=True
            )
        )
        assert used <= room + 1e-9 * problem.bin_types[0].capacity[dimension]


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_best_pattern_and_its_bound_are_those_of_an_integer_program(batch):
    for number in range(30):
        rng = random.Random(1000 * batch + number)
        problem = random_problem(rng, num_jobs=6, num_options=4)
        prices = random_prices(rng, problem)
        expected = best_by_program(problem, prices)

        found, value = priced(problem, prices, expected=expected)

        assert not found.is_cut
        assert value <= expected + PRECISION * max(1.0, expected)
        assert found.bound >= expected - PRECISION * max(1.0, expected)
        assert found.bound <= value * (1 + GAPS[-1]) + PRECISION * max(1.0, expected)
        for pattern in found.patterns:
            assert_fits(problem, pattern)


# One option per job: then the model on CP-SAT says the same, its rounding apart.
@pytest.mark.parametrize("batch", range(BATCHES))
def test_compiled_pricing_and_the_model_on_cp_sat_bound_each_other(batch):
    for number in range(25):
        rng = random.Random(1000 * batch + number)
        problem = random_problem(rng, num_jobs=7, num_options=1)
        prices = random_prices(rng, problem)
        pattern, most = ModelPricer(problem, 0, seed=0).best(prices, time_limit_s=10)
        expected = prices.value(pattern) if pattern else 0.0

        found, value = priced(problem, prices, expected=expected)

        assert value <= most + PRECISION * max(1.0, most)
        assert expected <= found.bound + PRECISION * max(1.0, most)


def test_many_jobs_and_dimensions_are_bounded_as_by_an_integer_program():
    for seed in range(25):
        rng = random.Random(seed)
        problem = random_problem(rng, num_jobs=14, num_options=5)
        prices = random_prices(rng, problem)
        expected = best_by_program(problem, prices)

        found, value = priced(problem, prices, expected=expected)

        assert value <= expected + PRECISION * max(1.0, expected)
        assert found.bound >= expected - PRECISION * max(1.0, expected)


# Few dimensions that load takes: then most jobs are decided on as sizes in full.
@pytest.mark.parametrize("num_loaded", [0, 1, 2])
def test_jobs_that_serve_in_full_or_in_part_are_those_of_an_integer_program(num_loaded):
    for seed in range(40):
        rng = random.Random(seed)
        capacity = (rng.randint(20, 100), 1000, 1000)
        jobs = [Job(demand=rng.randint(1, 40)) for _ in range(7)]
        options = [
            Option(
                job,
                0,
                (rng.randint(1, capacity[0] // 2), 0, 0),
                (0, *(rng.randint(100, 900) if d < num_loaded else 0 for d in (0, 1))),
                rng.randint(1, 30),
            )
            for job in range(7)
            for _ in range(3)
        ]
        problem = CapacityProblem((BinType(capacity),), tuple(jobs), tuple(options))
        prices = random_prices(rng, problem)
        expected = best_by_program(problem, prices)

        found, value = priced(problem, prices, expected=expected)

        assert value <= expected + PRECISION * max(1.0, expected)
        assert found.bound >= expected - PRECISION * max(1.0, expected)
        assert found.bound <= value * (1 + GAPS[-1]) + PRECISION * max(1.0, expected)


def test_a_pattern_may_hold_three_options_of_one_job():
    # Only all three together serve it: each is limited to one copy by its size.
    problem = CapacityProblem(
        (BinType((9, 10, 10)),),
        (Job(demand=10),),
        (
            Option(0, 0, (5, 0, 0), (0, 6, 0), 6),
            Option(0, 0, (3, 0, 0), (0, 2, 2), 3),
            Option(0, 0, (1, 0, 0), (0, 0, 8), 1),
        ),
    )
    prices = Prices(problem, [6.0, 3.0, 1.0], [0.0] * 3, [0.0])

    found, value = priced(problem, prices, expected=10.0)

    assert best_by_program(problem, prices) == pytest.approx(10)
    assert value == pytest.approx(10)
    assert found.bound >= 10


def test_a_search_that_is_cut_still_bounds_the_best_pattern():
    is_cut = []
    for seed in range(40):
        rng = random.Random(seed)
        problem = random_problem(rng, num_jobs=14, num_options=5)
        prices = random_prices(rng, problem)
        expected = best_by_program(problem, prices)

        found = CompiledPricer(problem, 0).best(
            prices,
            [0.0] * problem.num_dimensions,
            known=0.0,
            price=expected,
            node_limit=2,
            stop=new_flag(),
        )

        is_cut.append(found.is_cut)
        assert found.bound >= expected - PRECISION * max(1.0, expected)
    assert any(is_cut)


def test_copies_beyond_those_a_job_must_have_earn_nothing():
    problem = CapacityProblem(
        (BinType((10,)),), (Job(demand=4, copies=2),), (Option(0, 0, (2,), (0,), 1),)
    )
    prices = Prices(problem, [0.0], [0.0], [3.0])

    found, value = priced(problem, prices, expected=6.0)

    assert value == pytest.approx(2 * 3.0)
    assert found.bound == pytest.approx(2 * 3.0, rel=2 * GAPS[-1])
