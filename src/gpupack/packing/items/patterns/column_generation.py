"""Column generation: the linear program over all fillings of a bin, by demand.

The pattern formulation of Gilmore and Gomory (1961): ``simplex`` solves it over
the patterns known, ``pricing`` finds patterns that it lacks. What is wanted is
the rounded-up bound, not the last digits of the optimum. So exact pricing only
asks whether any filling is worth more than (value of the duals) ÷ (best bound):
if none is, Farley's bound rises to the next integer. That threshold lies above
1 whenever the bound has not been reached yet, which cuts the search by orders
of magnitude against looking for negative reduced costs.

References:
    Gilmore and Gomory, "A linear programming approach to the cutting-stock
    problem", Operations Research 9, 1961.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import max_copies
from gpupack.packing.items.patterns.pricing import Pricer, farley_bound, round_to_grid
from gpupack.packing.items.patterns.simplex import PatternMaster

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gpupack.packing.items.model import Bin, Ladder
    from gpupack.packing.items.patterns.simplex import Pattern

QUICK_NODES = 500
"""Search nodes per filling while quick pricing still finds columns."""
THOROUGH_NODES = 20_000
INTERLUDE_ROUNDS = 4
MAX_IMPROVED = 100
"""Fillings from one round of exchanges."""
ROUNDS = 200
NODES = 10_000_000
"""Rounds of column generation, and nodes of an exact pricing, in one portion."""
MAX_NODES = 200_000_000
"""An exact pricing that needs more is given up."""
INTEGRAL = 1e-6
SMOOTHING = 0.8
"""Weight of the former center in the duals that quick pricing looks at first."""


class ColumnGeneration:
    """Patterns, duals and bounds of one problem, kept from rung to rung.

    Args:
        ladder: Whose problem, clock, packing and bound to use.
    """

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        problem = ladder.problem
        self.rng = np.random.default_rng(ladder.seed)
        self.demand: NDArray[np.int64] = problem.counts
        self.max_copies = max_copies(problem)
        self.master = PatternMaster(self.demand, self.max_copies, self.rng)
        self.pricer = Pricer(
            problem.sizes, problem.capacities, deadline=ladder.deadline
        )
        self._center = self.master.duals

    def learn(self, bins: tuple[Bin, ...]) -> None:
        """Add the fillings of a packing to the patterns."""
        self.master.add(one_bin.counts for one_bin in bins)

    def raise_bound(
        self, *, portion: int = 1, interlude: Callable[[], None] | None = None
    ) -> None:
        """Add patterns until the linear program cannot raise the bound further.

        Args:
            portion: Multiplies the rounds and search nodes allowed for it.
            interlude: Called now and then, for work that takes turns with it.
        """
        ladder = self.ladder
        for number in range(1, ROUNDS * portion):
            if interlude is not None and number % INTERLUDE_ROUNDS == 0:
                interlude()
            if ladder.is_closed or ladder.remaining_s == 0:
                return
            self.master.optimize(deadline=ladder.deadline)
            ladder.collect()
            if self.master.value <= ladder.bound + INTEGRAL:
                return
            if self.add_columns(self.demand, node_limit=QUICK_NODES):
                continue
            if not self._price_exactly(min(portion * NODES, MAX_NODES)):
                return

    def add_columns(
        self, supply: NDArray[np.int64], *, node_limit: int, by_exchanges: bool = True
    ) -> int:
        """Price quickly at the current duals; return how many patterns were new.

        Args:
            supply: Copies of each type that a filling may have.
            node_limit: Of the search for each filling.
            by_exchanges: Whether to look for exchanges in the fillings of the basis
                first. Each is worth 1: whatever one gains is a column. A cut search
                from nothing, where they find none.
        """
        duals = self.master.duals
        # Duals of a linear program with few columns swing: search at a point on
        # the way to them first, which is what a stabilized method would do.
        self._center = SMOOTHING * self._center + (1 - SMOOTHING) * duals
        if by_exchanges:
            basis = [
                self.master.patterns[column] for column, _ in self.master.solution()
            ]
            added = self.master.add(
                self.pricer.improve(
                    basis, round_to_grid(duals), supply, most=MAX_IMPROVED
                )
            )
            if added:
                return added
        for point in (self._center, duals):
            found = self.pricer.price_many(
                round_to_grid(point), supply, node_limit=node_limit
            )
            added = self.master.add(
                pattern
                for pattern in found
                if sum(duals[item] * count for item, count in pattern) > 1 + INTEGRAL
            )
            if added:
                return added
        return 0

    def _price_exactly(self, node_limit: int) -> bool:
        """Raise the bound by proof, or add columns; False if neither was possible."""
        ladder = self.ladder
        duals = round_to_grid(self.master.duals)
        value = float(duals @ self.demand)
        # First the most modest aim, the cheapest to prove and the one whose
        # columns help most; then on to what the linear program would prove if it
        # had all columns already.
        reach = max(0, math.ceil(value - INTEGRAL) - 1 - ladder.bound)
        aims = sorted({ladder.bound + reach * k // 4 for k in range(5)})
        raised = False
        for aim in aims:
            # No filling above this threshold: Farley's bound exceeds ``aim``.
            threshold = value / aim * (1 - 1e-9) - 2e-7 if aim else 2.0
            threshold = max(threshold, 1 + 1e-6)
            found = self.pricer.price_many(
                duals,
                self.demand,
                threshold=threshold,
                node_limit=THOROUGH_NODES,
                thorough=True,
            )
            if self.master.add(found):
                return True
            result = self.pricer.price(
                duals,
                self.demand,
                threshold=threshold,
                node_limit=THOROUGH_NODES if raised else node_limit,
                patience=THOROUGH_NODES,
            )
            if self.master.add(result.patterns):
                return True
            if not math.isfinite(result.upper_bound):
                break
            bound = farley_bound(duals, self.demand, result.upper_bound)
            raised = ladder.raise_bound(bound) or raised
            if ladder.is_closed:
                break
        return raised

    def to_packing(self, patterns: dict[Pattern, int]) -> tuple[Bin, ...]:
        """Return the packing that patterns covering the demand contain."""
        from gpupack.packing.items.patterns.pattern_pool import drop_surplus

        return drop_surplus(patterns, self.demand)
