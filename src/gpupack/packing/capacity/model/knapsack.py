"""The linear relaxation of filling one bin, at one set of prices after another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.packing.runtime import solve_linear

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from ortools.linear_solver import pywraplp


class Knapsack:
    """Options of which copies, and fractions of them, fill one bin.

    One program for all prices: what copies are worth alone changes, so that the last
    basis stays feasible, and is few pivots from the best.

    Args:
        sizes: Per option and dimension, of a copy at its full rate, as a share of the
            bin.
        most: Per option, copies of any use.
    """

    def __init__(self, sizes: NDArray[np.float64], most: NDArray[np.float64]) -> None:
        self._sizes = sizes
        self._most = most
        self._lp: pywraplp.Solver | None = None
        self._rows: list[pywraplp.Constraint] = []
        self._copies: list[pywraplp.Variable] = []

    def room_prices(
        self, worth: NDArray[np.float64], *, deadline: float = math.inf
    ) -> list[float]:
        """Return what room in each dimension is worth, ≥ 0; 1 each if that fails.

        Args:
            worth: Per option, of a copy at its full rate, ≥ 0.
            deadline: On the clock of ``time.perf_counter``.
        """
        lp = self._program()
        objective = lp.Objective()
        for copies, value in zip(self._copies, worth.tolist(), strict=True):
            objective.SetCoefficient(copies, value)
        if not solve_linear(lp, deadline=deadline, grows=True):
            return [1.0] * len(self._rows)  # they steer a search; any will do
        return [max(0.0, row.dual_value()) for row in self._rows]

    def _program(self) -> pywraplp.Solver:
        if self._lp is None:
            # Imports OR-Tools, which problems without prices do without.
            from ortools.linear_solver import pywraplp

            self._lp = lp = pywraplp.Solver.CreateSolver("GLOP")
            lp.Objective().SetMaximization()
            self._rows = [
                lp.RowConstraint(-lp.infinity(), 1.0, "")
                for _ in range(self._sizes.shape[1])
            ]
            self._copies = [lp.NumVar(0, most, "") for most in self._most.tolist()]
            for copies, sizes in zip(self._copies, self._sizes.tolist(), strict=True):
                for row, size in zip(self._rows, sizes, strict=True):
                    row.SetCoefficient(copies, size)
        return self._lp
