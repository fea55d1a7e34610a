"""A first plan, by first fit: what every other method starts from and must beat.

Jobs go in one after the other, the largest first, each copy into an open bin that has
room or else into a new bin of the type that costs it least. It takes no library, no
compiled code and no clock: the same problem gives the same plan whatever the time
limit, so more time cannot give a worse answer.

References:
    Johnson, "Near-optimal bin packing algorithms", 1973 (first fit decreasing).
    Panigrahy and others, "Heuristics for vector bin packing", 2011.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.first_fit import FirstFit
from gpupack.packing.capacity.goals import measured_value
from gpupack.packing.capacity.problem import Goal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gpupack.packing.capacity.plan import FilledBin
    from gpupack.packing.capacity.problem import CapacityProblem

    Array = NDArray[np.float64]

MAX_STEPS = 3_000
"""Jobs placed in all, after which no further order is tried."""
MAX_ORDERS = 24
NUM_HALVINGS = 7
"""Of the share of demands, where not everything can be served."""
SPREAD = 0.4
"""Of random factors on sizes and prices."""


def first_plan(
    problem: CapacityProblem, goal: Goal, *, seed: int
) -> tuple[FilledBin, ...]:
    """Return the best plan of a few orders, empty if none of them comes to one.

    Args:
        problem: What is planned.
        goal: What is best. Where service counts, all demands are scaled down until
            they can be met; what room is left then serves what it can.
        seed: For the random orders.
    """
    best: tuple[FilledBin, ...] = ()
    best_value = math.inf
    steps = 0
    for weights, prices in _orders(problem, goal, seed):
        bins = (
            _in_full(problem, weights, prices)
            if goal.is_in_full
            else _served(problem, goal, weights, prices)
        )
        if bins:
            value = measured_value(problem, goal, bins)
            value = value if goal.is_in_full else -value
            if value < best_value:
                best, best_value = bins, value
        steps += len(problem.jobs) * (1 if goal.is_in_full else NUM_HALVINGS)
        if steps > MAX_STEPS:
            break
    return best


def _orders(
    problem: CapacityProblem, goal: Goal, seed: int
) -> Iterator[tuple[Array, Array]]:
    """Yield weights of dimensions, and prices of bins: several ways to see sizes."""
    if goal.is_in_full:
        prices = np.array(problem.prices(goal), dtype=float)
    elif problem.budget is not None:
        prices = np.array([one.cost for one in problem.bin_types], dtype=float)
    else:
        prices = np.ones(len(problem.bin_types))
    prices = np.maximum(prices / max(prices.max(), 1e-300), 1e-6)
    every = np.ones(problem.num_dimensions)
    yield every, prices
    capacity = np.array([one.capacity for one in problem.bin_types], dtype=float)
    scarce = _needs(problem) / np.maximum(capacity.max(axis=0), 1.0)
    if scarce.max(initial=0.0) > 0:
        yield np.maximum(scarce / scarce.max(), 1e-3), prices
    yield every, np.sqrt(prices)
    rng = random.Random(seed)
    for _ in range(MAX_ORDERS):
        weights = [rng.uniform(1 - SPREAD, 1 + SPREAD) for _ in every]
        factors = [rng.uniform(1 - SPREAD, 1 + SPREAD) for _ in prices]
        yield np.array(weights), prices * np.array(factors)


def _needs(problem: CapacityProblem) -> Array:
    """Return about what all jobs take of every dimension."""
    total = np.zeros(problem.num_dimensions)
    for job, options in zip(problem.jobs, problem.options_by_job, strict=True):
        if not options:
            continue
        one = problem.options[options[0]]
        total += np.array(one.fixed, dtype=float) * job.copies
        total += np.array(one.proportional, dtype=float) * (
            (job.demand or 0) / one.rate
        )
    return total


def _in_full(
    problem: CapacityProblem, weights: Array, prices: Array
) -> tuple[FilledBin, ...]:
    filling = FirstFit(problem, weights, prices)
    if not filling.place_required():
        return ()
    filling.bins.is_closed = True  # optional jobs come along where they cost nothing
    filling.place_optional()
    return filling.bins.filled()


def _served(
    problem: CapacityProblem, goal: Goal, weights: Array, prices: Array
) -> tuple[FilledBin, ...]:
    """Return a plan that serves the largest share of all demands that is found."""
    every = replace(
        problem, jobs=tuple(replace(job, is_optional=False) for job in problem.jobs)
    )
    best = FirstFit(every, weights, prices)
    if not best.place_required():
        best = FirstFit(problem, weights, prices)
        low, high = 0.0, 1.0
        if not best.place_required():
            best = FirstFit(problem, weights, prices)
            if not best.place_required(share=0.0):
                return ()
            for _ in range(NUM_HALVINGS):
                share = (low + high) / 2
                found = FirstFit(problem, weights, prices)
                if found.place_required(share=share):
                    best, low = found, share
                else:
                    high = share
    if goal is Goal.MAX_SERVICE:
        best.raise_rates()
    best.place_optional()
    best.serve_more()
    return best.bins.filled()
