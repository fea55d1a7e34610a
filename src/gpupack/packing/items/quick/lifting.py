"""Lifted bound: sizes as dual values, lifted for items that cannot but waste room.

Sizes of one dimension are dual values under which no filling is worth more than a full
bin: their sum is the volume bound. An item of which a bin holds one copy can be worth
more: a full bin less the most valuable filling beside it. Beside a model that takes
740 of 800 nothing may fit that needs 60 and little enough memory; then all of its bins
waste room, and the bound says so. Each item is lifted in turn, at the values of the
others as they are then, which keeps them dual feasible (lifting as of cover
inequalities).

Items compete for what fits beside them: where the same partner is the best of several,
it is worth lowering its own value by δ, which lifts each of them by δ. By how much is
the Lagrangian dual of letting every copy be a partner once, raised by subgradients.
All values are whole numbers, so that the bound is exact.

References:
    Padberg, "A note on zero-one programming", Operations Research 23, 1975: sequential
    lifting. Held, Wolfe and Crowder, "Validation of subgradient optimization",
    Mathematical Programming 6, 1974.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels.items import pricing as kernels
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gpupack.packing.items.model import PackingProblem

MAX_TYPES = 5_000
MAX_VALUE = 2**40
"""Of a full bin: its sums with the values of a million items are whole numbers."""
SCALE = 64
"""Parts of a unit by which values change, where capacities are small."""
MIN_VOLUME = 0.9
"""Volume of a dimension, of the best bound, from which it is worth lifting."""
NODES = 20_000
"""Of the search for the best filling beside an item."""
ROUNDS = 120
MAX_SEARCHES = 4_000
"""In all rounds of subgradients, each with one for every item that competes."""
FIRST_STEP = 1 / 100
"""Of subgradients; in full bins."""
PATIENCE = 5
"""Rounds in vain after which the step shrinks, from the best values on."""
SHRINKAGE = 1.5


def lifted_bounds(
    problem: PackingProblem, bound: int, *, deadline: float = math.inf
) -> Iterator[int]:
    """Yield a bound for each dimension whose volume bound is not far from the best.

    Args:
        problem: The canonical problem.
        bound: The best known.
        deadline: On the clock of ``time.perf_counter``; then values are lifted no more.
    """
    if problem.num_types > MAX_TYPES or max(problem.capacity) > MAX_VALUE // SCALE:
        return
    volumes = problem.counts @ (problem.sizes / problem.capacities)
    for dimension in np.argsort(-volumes, kind="stable").tolist():
        if volumes[dimension] >= MIN_VOLUME * bound:
            yield _Lifting(problem, dimension, deadline).bound()


class _Lifting:
    """Dual values of one dimension, lifted.

    Args:
        problem: The canonical problem.
        dimension: Whose sizes are the values at first.
        deadline: When to stop.
    """

    def __init__(
        self, problem: PackingProblem, dimension: int, deadline: float
    ) -> None:
        self._problem, self._deadline = problem, deadline
        self._full = int(problem.capacities[dimension]) * SCALE
        self._base = problem.sizes[:, dimension] * SCALE
        shares = problem.sizes / problem.capacities
        is_single = (problem.counts == 1) | (shares.max(axis=1) > 1 / 2)
        rank = np.argsort(-shares.max(axis=1), kind="stable")
        self._single = rank[is_single[rank]]
        """Of which a bin holds one copy, the largest first."""
        self._alone = self._single[2 * self._base[self._single] > self._full]
        """Of which no two share a bin: they are lifted independently."""

    def bound(self) -> int:
        """Return the bound of the values, first lowered where items compete."""
        values = self._lowered()
        self._lift(self._single, values, at_once=True)
        total = sum(
            int(value) * int(count)
            for value, count in zip(values, self._problem.counts, strict=True)
        )
        return -(-total // self._full)

    def _lowered(self) -> NDArray[np.int64]:
        """Return values, lower for what is the best partner of several items."""
        counts = self._problem.counts
        _, uses = self._lift(self._alone, self._base.copy())
        # Those that depend on what too many want.
        lifts, _ = self._lift(self._alone, np.where(uses > counts, 0, self._base))
        hard = self._alone[lifts > 0]
        best, best_price = -1, np.zeros(len(counts))
        if len(hard) == 0:
            return self._base.copy()
        price = best_price.copy()
        step, in_vain = FIRST_STEP * self._full, 0
        for _ in range(min(ROUNDS, MAX_SEARCHES // len(hard))):
            whole = np.floor(price).astype(np.int64)
            lifts, uses = self._lift(hard, self._base - whole)
            gain = int(lifts @ counts[hard] - whole @ counts)
            if gain > best:
                best, best_price, in_vain = gain, price, 0
            else:
                in_vain += 1
                if in_vain == PATIENCE:
                    step, in_vain, price = step / SHRINKAGE, 0, best_price
                    continue
            excess = uses - counts
            moved = np.where((excess > 0) | (price > 0), step * excess, 0.0)
            price = np.clip(price + moved, 0.0, self._base)
            price[hard] = 0.0
            if not price.any():
                break
        return self._base - np.floor(best_price).astype(np.int64)

    def _lift(
        self,
        items: NDArray[np.int64],
        values: NDArray[np.int64],
        *,
        at_once: bool = False,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return by how much each item can be lifted, and what that uses beside it."""
        problem = self._problem
        lifts = np.zeros(len(items), dtype=np.int64)
        uses = np.zeros(problem.num_types, dtype=np.int64)
        call_until(
            self._deadline,
            kernels.lift,
            problem.sizes,
            problem.counts,
            problem.capacities,
            self._full,
            np.argsort(-values, kind="stable"),
            items,
            NODES,
            at_once,
            values,
            lifts,
            uses,
        )
        return lifts, uses
