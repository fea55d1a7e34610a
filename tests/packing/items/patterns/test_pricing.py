"""Pricing against other solvers, where trying everything would take too long."""

import itertools

import numpy as np
import pytest
from ortools.linear_solver import pywraplp
from ortools.sat.python import cp_model

from gpupack.packing.items.patterns.pricing import GRID, Pricer, round_to_grid
from gpupack.packing.kernels.items.bin_relaxation import relaxation_multipliers


def many_copies_pricing(seed):
    """Sixty types, up to 25 copies per bin, worth about what they take."""
    rng = np.random.default_rng(seed)
    capacities = np.array([800, 800, 14745])
    use = np.clip(rng.lognormal(4.9, 0.8, 60), 32, 780)
    memory = np.clip(rng.lognormal(7.6, 0.8, 60), 600, 13000)
    sizes = np.column_stack([use, use * rng.uniform(0.6, 1.0, 60), memory])
    sizes = sizes.astype(np.int64)
    shares = sizes / capacities
    duals = (0.6 * shares[:, 0] + 0.4 * shares[:, 2]) * rng.uniform(0.7, 1.0, 60)
    # A type that fits beside no other is worth a bin of its own, as in duals of a
    # linear program: this is what makes the plain relaxation weak.
    duals[shares.max(axis=1) > 0.8] = 1.0
    copies = (capacities // np.maximum(sizes, 1)).min(axis=1)
    return sizes, capacities, round_to_grid(duals), copies


@pytest.mark.parametrize("seed", range(3))
def test_pricing_of_many_copies_ends_with_the_value_that_cp_sat_finds(seed):
    sizes, capacities, duals, copies = many_copies_pricing(seed)
    model = cp_model.CpModel()
    counts = [model.new_int_var(0, int(most), "") for most in copies]
    for row, capacity in zip(sizes.T, capacities, strict=True):
        model.add(cp_model.LinearExpr.weighted_sum(counts, row.tolist()) <= capacity)
    values = [int(dual * GRID) for dual in duals]
    model.maximize(cp_model.LinearExpr.weighted_sum(counts, values))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.status_name(solver.solve(model)) == "OPTIMAL"

    result = Pricer(sizes, capacities).price(
        duals, np.full(60, 1000), threshold=0.0, node_limit=5_000_000
    )

    assert result.best_value == pytest.approx(solver.objective_value / GRID)
    assert result.best_value <= result.upper_bound < np.inf


@pytest.mark.parametrize("seed", range(3))
def test_relaxation_prices_prove_the_optimum_of_the_linear_program(seed):
    sizes, capacities, duals, copies = many_copies_pricing(seed)
    shares = np.ascontiguousarray((sizes / capacities).T)
    glop = pywraplp.Solver.CreateSolver("GLOP")
    counts = [glop.NumVar(0, int(most), "") for most in copies]
    for row in shares:
        glop.Add(sum(x * count for x, count in zip(row, counts, strict=True)) <= 1)
    glop.Maximize(sum(x * count for x, count in zip(duals, counts, strict=True)))
    assert glop.Solve() == glop.OPTIMAL

    prices = relaxation_multipliers(shares, duals, copies, np.ones(3))

    # By weak duality this is never below the optimum, whatever the prices are.
    proved = prices.sum() + (copies * np.maximum(duals - prices @ shares, 0)).sum()
    assert (prices >= 0).all()
    assert proved == pytest.approx(glop.Objective().Value())


@pytest.mark.parametrize("seed", range(40))
def test_searches_with_big_and_small_items_miss_no_filling(seed):
    rng = np.random.default_rng(seed)
    capacities = np.array([20, 30])
    num_big, num_small = rng.integers(1, 4), rng.integers(2, 4)
    big = np.column_stack([rng.integers(8, 19, num_big), rng.integers(1, 20, num_big)])
    small = rng.integers(2, 7, (num_small, 2))
    sizes = np.vstack([big, small])
    supply = rng.integers(1, 9, len(sizes))
    worth = (sizes / capacities) @ rng.uniform(0.2, 1, 2)
    duals = round_to_grid(worth * rng.uniform(0.7, 1, len(sizes)))
    most = np.minimum(supply, (capacities // sizes).min(axis=1))
    ranges = [range(int(copies) + 1) for copies in most]
    counts = np.array(list(itertools.product(*ranges)))
    free = capacities - counts @ sizes
    counts, free = counts[(free >= 0).all(axis=1)], free[(free >= 0).all(axis=1)]
    values = counts @ duals
    best = float(values.max())
    # Another copy fits: (filling, type) pairs.
    grows = (free[:, None, :] >= sizes).all(axis=2) & (counts < supply)
    wanted = counts[(values >= 0.8 * best) & ~grows.any(axis=1)]
    pricer = Pricer(sizes, capacities)

    result = pricer.price(duals, supply, threshold=0.0, node_limit=10**6)
    listed = pricer.enumerate_maximal(
        duals, supply, threshold=0.8 * best, node_limit=10**6, max_patterns=5000
    )

    assert result.best_value == pytest.approx(best, abs=1e-8)
    assert listed is not None
    assert set(listed) == {
        tuple((item, int(copies)) for item, copies in enumerate(one) if copies)
        for one in wanted
    }


@pytest.mark.parametrize("seed", range(3))
def test_exchanges_find_fillings_that_fit_and_are_worth_more(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(100, 400, size=(30, 3))
    capacities = np.array([1000, 1000, 1000])
    supply = rng.integers(1, 3, size=30)
    duals = round_to_grid(sizes.mean(axis=1) / 1000)
    pricer = Pricer(sizes, capacities)
    alone = [((item, 1),) for item in range(30)]

    found = pricer.improve(alone, duals, supply, most=30, threshold=0.4)

    assert found
    for pattern in found:
        counts = np.zeros(30, dtype=np.int64)
        for item, count in pattern:
            counts[item] = count
        assert (counts <= supply).all()
        assert (counts @ sizes <= capacities).all()
        assert counts @ duals > 0.4
        # No single copy more fits: exchanges end by adding what does.
        rest = capacities - counts @ sizes
        assert not ((counts < supply) & (sizes <= rest).all(axis=1)).any()


def test_exchanges_go_on_where_the_last_ones_ended():
    # Each small item can be exchanged for the large one of its own filling only.
    sizes, capacities = np.array([[5], [4], [4], [4]]), np.array([5])
    duals = round_to_grid(np.array([1.0, 0.5, 0.5, 0.5]))
    pricer = Pricer(sizes, capacities)
    fillings = [((item, 1),) for item in (1, 2, 3)]

    found = [
        pricer.improve(fillings, duals, np.ones(4, dtype=np.int64), most=1, threshold=0)
        for _ in range(3)
    ]

    assert found == [[((0, 1),)]] * 3
