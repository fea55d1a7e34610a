"""The restricted master: a covering linear program that grows by columns.

    minimize Σ x_p   subject to   Σ_p a_ip x_p ≥ b_i for every item type i,  x ≥ 0

A revised simplex method on a dense basis inverse, kept between calls: added
columns leave it primal feasible, a changed demand leaves it dual feasible, so
either needs a few pivots only. Its answers are trusted for quality alone:
every bound is computed from its duals by exact pricing (see ``pricing``).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels.items import simplex as kernels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Pattern = tuple[tuple[int, int], ...]

TOLERANCE = 1e-9
REFACTOR_EVERY = 400
"""Pivots after which the inverse is computed afresh."""
SHIFT = 1e-6
"""What costs are raised by in dual pivots: all patterns cost 1, so that these pivots
would go round without any gain."""
DUAL_PIVOTS_PER_ROW = 20
"""After a change of demand: those that come to an end seldom take more than 4."""
PRIMAL_PIVOTS_PER_ROW = 50
"""After which rows without demand are perturbed, too: where many of them are 0, pivots
move nothing, and were seen to go round two million times."""
IDLE = 1e-2
"""Of the perturbation of rows with demand: too little to count as a pattern in use."""
_NO_SHIFTS = np.zeros(0)


class PatternMaster:
    """Patterns so far, and the linear program over them.

    Args:
        demand: Copies of each item type to cover, shape (types,), ≥ 0.
        max_copies: Copies of each type that one bin can hold.
        rng: For the perturbation of the demand, which breaks ties among pivots.
    """

    def __init__(
        self,
        demand: NDArray[np.int64],
        max_copies: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        self.num_rows = len(demand)
        self._perturbation = rng.uniform(0.5, 1.0, self.num_rows) * 1e-6
        self._starts = np.zeros(1024, dtype=np.int64)
        self._rows = np.zeros(8192, dtype=np.int64)
        self._values = np.zeros(8192)
        self._in_basis = np.zeros(1023, dtype=np.bool_)
        self.patterns: list[Pattern] = []
        self._known: set[Pattern] = set()
        self._pivots = 0
        self._idle = 0.0
        self._noise = np.random.default_rng(0)
        self._shifts = _NO_SHIFTS
        # About 50 ms of pivots between looks at the clock.
        self._pivots_per_look = max(4, int(1e8 / (self.num_rows + 100) ** 2))
        self.add(
            ((item, int(copies)),) for item, copies in enumerate(max_copies.tolist())
        )
        self.basis = np.arange(self.num_rows)
        self._in_basis[: self.num_rows] = True
        self.demand = demand.astype(np.float64)
        self._refactor()

    @property
    def num_columns(self) -> int:
        """Number of patterns."""
        return len(self.patterns)

    def add(self, patterns: Iterable[Pattern]) -> int:
        """Add patterns that are new; return how many were."""
        added = 0
        for pattern in patterns:
            if pattern in self._known:
                continue
            self._known.add(pattern)
            column, start = self.num_columns, int(self._starts[self.num_columns])
            end = start + len(pattern)
            if column + 2 > len(self._starts):
                self._starts = np.resize(self._starts, 2 * len(self._starts))
                grown = np.zeros(len(self._starts) - 1, dtype=np.bool_)
                grown[:column] = self._in_basis[:column]
                self._in_basis = grown
            while end > len(self._rows):
                self._rows = np.resize(self._rows, 2 * len(self._rows))
                self._values = np.resize(self._values, 2 * len(self._values))
            for offset, (item, count) in enumerate(pattern):
                self._rows[start + offset] = item
                self._values[start + offset] = count
            self._starts[column + 1] = end
            self.patterns.append(pattern)
            added += 1
        return added

    def optimize(self, *, deadline: float = math.inf) -> bool:
        """Pivot until no pattern prices out; False if the deadline came first.

        Args:
            deadline: On the clock of ``time.perf_counter``.
        """
        left = PRIMAL_PIVOTS_PER_ROW * self.num_rows
        while time.perf_counter() < deadline:
            is_done, pivots = self._pivot(is_dual=False, most=REFACTOR_EVERY)
            if is_done:
                return True
            left -= pivots
            if left < 0 and not self._idle:
                self._idle = IDLE
                self._set_primal_values()
        return False

    def set_demand(
        self, demand: NDArray[np.int64], *, deadline: float = math.inf
    ) -> None:
        """Change the demand and restore feasibility by dual pivots.

        If that takes too many pivots, it starts again from one pattern per type.
        """
        self.demand = demand.astype(np.float64)
        self._idle = 0.0
        self._set_primal_values()
        self._shifts = self._draw_shifts()
        left, is_done = DUAL_PIVOTS_PER_ROW * self.num_rows, False
        while left > 0 and not is_done and time.perf_counter() < deadline:
            is_done, pivots = self._pivot(is_dual=True, most=left)
            left -= pivots
        self._shifts = _NO_SHIFTS
        if is_done:
            self._set_duals()
        else:
            self.restart()

    def _draw_shifts(self) -> NDArray[np.float64]:
        """Return what raises costs, of slacks and then patterns outside the basis."""
        num_costs = self.num_rows + self.num_columns
        shifts = self._noise.uniform(0.5 * SHIFT, SHIFT, num_costs)
        shifts[self._places_in_costs()] = 0.0  # so that no reduced cost is negative
        return shifts

    def _places_in_costs(self) -> NDArray[np.int64]:
        """Return where costs of slacks and then patterns have those of the basis."""
        return np.where(self.basis >= 0, self.num_rows + self.basis, -1 - self.basis)

    def _pivot(self, *, is_dual: bool, most: int) -> tuple[bool, int]:
        """Pivot for about 50 ms; return whether nothing is left to do, and pivots."""
        done, pivots = kernels.pivot(
            is_dual,
            self._shifts,
            self._inverse,
            self._primal_values,
            self.basis,
            self._duals,
            self._starts,
            self._rows,
            self._values,
            self.num_columns,
            self._in_basis,
            min(most, REFACTOR_EVERY - self._pivots, self._pivots_per_look),
        )
        self._pivots += pivots
        if not done and self._pivots >= REFACTOR_EVERY:
            self._refactor()
        return done, pivots

    def restart(self) -> None:
        """Go back to the basis of one pattern per item type."""
        self._in_basis[:] = False
        self.basis = np.arange(self.num_rows)
        self._in_basis[: self.num_rows] = True
        self._refactor()

    @property
    def duals(self) -> NDArray[np.float64]:
        """Value of one copy of each item type, ≥ 0."""
        duals: NDArray[np.float64] = np.maximum(self._duals, 0.0)
        return duals

    @property
    def value(self) -> float:
        """Objective of the current basis."""
        return float(self._duals @ self.demand)

    def solution(self) -> list[tuple[int, float]]:
        """Return the patterns in use: (column, how many bins)."""
        return sorted(
            (int(column), float(value))
            for column, value in zip(self.basis, self._primal_values, strict=True)
            if column >= 0 and value > 1e-7
        )

    def _refactor(self) -> None:
        # Row k of the array is column k of the inverse: updates run along rows.
        self._inverse, basis, is_regular = kernels.invert(
            self.basis, self._starts, self._rows, self._values
        )
        if not is_regular:
            self.restart()
            return
        self.basis = basis
        self._set_duals()
        self._set_primal_values()
        self._pivots = 0

    def _set_duals(self) -> None:
        costs = (self.basis >= 0).astype(np.float64)
        if len(self._shifts):
            costs += self._shifts[self._places_in_costs()]
        self._duals = self._inverse @ costs

    def _set_primal_values(self) -> None:
        share = np.where(self.demand > 0, 1.0, self._idle)
        self._primal_values = (self.demand + share * self._perturbation) @ self._inverse
