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

from gpupack.packing.capacity.improving.first_fit import FirstFit
from gpupack.packing.capacity.model import Goal, raise_rates
from gpupack.packing.capacity.relaxing import measured_value
from gpupack.packing.runtime import most_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem, Counts, FilledBin, Rule

    Array = NDArray[np.float64]

MAX_STEPS = 3_000
"""In which copies are placed, after which no further order is tried."""
LOOKS_PER_STEP = 3
"""Options whose open bins are looked at, which take about as long as a step."""
MAX_ORDERS = 24
ENOUGH_ORDERS = 4
"""Where any plan will do: if these come to none, there is hardly one."""
NUM_HALVINGS = 7
"""Of the share of demands, where not everything can be served."""
SPREAD = 0.4
"""Of random factors on sizes and prices."""
MAX_RULE_ASKED = 2_000
"""Questions to the rule whether different options may share, by all orders; beyond,
they do not."""


def first_plan(
    problem: CapacityProblem, goal: Goal, *, seed: int, is_any: bool = False
) -> tuple[FilledBin, ...]:
    """Return the best plan of a few orders, empty if none of them comes to one.

    Args:
        problem: What is planned.
        goal: What is best. Where service counts, all demands are scaled down until
            they can be met; what room is left then serves what it can.
        seed: For the random orders.
        is_any: Whether the first plan will do, and none after a few orders.
    """
    best: tuple[FilledBin, ...] = ()
    best_value = math.inf
    steps = 0
    patience = None
    if problem.rule is not None:
        patience = _Patience(problem, problem.rule)
        problem = replace(problem, rule=patience)
    everyone = problem
    if not goal.is_in_full and any(job.is_optional for job in problem.jobs):
        jobs = tuple(replace(job, is_optional=False) for job in problem.jobs)
        everyone = replace(problem, jobs=jobs)
    for tried, (weights, prices) in enumerate(_orders(problem, goal, seed), 1):
        bins, num_steps = (
            _in_full(problem, weights, prices)
            if goal.is_in_full
            else _served(problem, everyone, goal, weights, prices)
        )
        if bins:
            value = measured_value(problem, goal, bins)
            value = value if goal.is_in_full else -value
            if value < best_value:
                best, best_value = bins, value
        steps += num_steps
        if is_any and (best or tried == ENOUGH_ORDERS):
            break
        if steps > MAX_STEPS or (patience is not None and patience.has_ended):
            break
    return best


class _Patience:
    """A rule that is asked so often and then keeps different options apart.

    Who shares less breaks no rule; and what is counted, not timed, does not depend on
    the machine. How many copies of one option may share is found out once, by doubling
    and halving.
    """

    def __init__(self, problem: CapacityProblem, rule: Rule) -> None:
        self._problem = problem
        self._rule = rule
        self._left = MAX_RULE_ASKED
        self._most_alone: dict[int, int] = {}

    @property
    def has_ended(self) -> bool:
        return self._left <= 0

    def __call__(self, bin_type: int, counts: Counts) -> bool:
        if len(counts) == 1:
            ((option, copies),) = counts
            return copies <= self._alone(bin_type, option)
        self._left -= 1
        return self._left >= 0 and self._rule(bin_type, counts)

    def _alone(self, bin_type: int, option: int) -> int:
        """Return how many copies of an option may share a bin."""
        if option not in self._most_alone:
            self._most_alone[option] = most_true(
                lambda copies: self._rule(bin_type, ((option, copies),)),
                self._problem.most_copies(option),
            )
        return self._most_alone[option]


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
) -> tuple[tuple[FilledBin, ...], int]:
    """Return a plan that serves every demand, and the steps it took."""
    filling = FirstFit(problem, weights, prices)
    if not filling.place_required():
        return (), _steps(filling)
    filling.bins.is_closed = True  # optional jobs come along where they cost nothing
    filling.place_optional()
    return filling.bins.filled(), _steps(filling)


def _steps(filling: FirstFit) -> int:
    return filling.num_steps + filling.num_looks // LOOKS_PER_STEP


def _served(
    problem: CapacityProblem,
    everyone: CapacityProblem,
    goal: Goal,
    weights: Array,
    prices: Array,
) -> tuple[tuple[FilledBin, ...], int]:
    """Return a plan that serves the largest share found, and the steps it took.

    Args:
        problem: What is planned.
        everyone: The same without optional jobs.
        goal: What is best.
        weights: Of dimensions.
        prices: Of bins.
    """
    rates_count = goal is Goal.MAX_SERVICE
    steps = 0

    def fill(asked: CapacityProblem, share: float) -> FirstFit | None:
        nonlocal steps
        filling = FirstFit(asked, weights, prices, rates_count=rates_count)
        is_placed = filling.place_required(share=share)
        steps += _steps(filling)
        return filling if is_placed else None

    best = fill(everyone, 1.0)
    if best is None and everyone is not problem:
        best = fill(problem, 1.0)
    if best is None:
        best = fill(problem, 0.0)
        if best is None:
            return (), steps
        low, high = 0.0, 1.0
        for _ in range(NUM_HALVINGS):
            share = (low + high) / 2
            filling = fill(problem, share)
            if filling is None:
                high = share
            else:
                best, low = filling, share
    best.place_optional()
    if rates_count:
        raise_rates(problem, best.bins)
    best.serve_more()
    return best.bins.filled(), steps
