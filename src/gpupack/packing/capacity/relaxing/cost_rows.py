"""The budget as rows for SCIP: in two digits each, so that floats lose no unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortools.linear_solver import pywraplp

    from gpupack.packing.capacity.model import CapacityProblem

LARGEST_EXACT = 10**6
"""Of whole numbers, up to which a billionth more is no whole number more."""


class CostRows:
    """Limits on the cost of whole numbers of bins.

    To SCIP a sum equals its limit that exceeds it by a billionth of it: of prices in
    millionths that is more than a unit. So a large limit is written in two digits, to a
    base about its root, with what is carried from one to the other:

        Σ low_k x_k ≤ low + base · carry,   Σ high_k x_k + carry ≤ high

    Args:
        mip: The program.
        bins: Its numbers of bins.
        costs: Of one of each.
    """

    def __init__(
        self,
        mip: pywraplp.Solver,
        bins: Sequence[pywraplp.Variable],
        costs: Sequence[int],
    ) -> None:
        self._mip = mip
        self._bins = bins
        self._step = math.gcd(*costs)
        self._costs = [cost // (self._step or 1) for cost in costs]
        self._carries: list[tuple[pywraplp.Variable, list[int], int, int]] = []

    def limit(self, most: int) -> None:
        """Require that the bins cost at most so much."""
        if self._step == 0:
            return
        most //= self._step
        if most <= LARGEST_EXACT:
            self._mip.Add(self._sum(self._costs) <= most)
            return
        base = math.isqrt(most) + 1
        low = [cost % base for cost in self._costs]
        high = [cost // base for cost in self._costs]
        carry = self._mip.IntVar(0, most // base, "")
        self._mip.Add(self._sum(low) <= most % base + base * carry)
        self._mip.Add(self._sum(high) + carry <= most // base)
        self._carries.append((carry, low, most % base, base))

    def carried(self, counts: Mapping[int, int]) -> list[tuple[pywraplp.Variable, int]]:
        """Return what is carried where there are so many bins, to start from."""
        return [
            (
                carry,
                max(0, -(-(sum(low[k] * n for k, n in counts.items()) - r) // base)),
            )
            for carry, low, r, base in self._carries
        ]

    def _sum(self, factors: Sequence[int]) -> pywraplp.LinearExpr:
        """Return the numbers of bins, each times a factor, added up."""
        terms = (f * x for f, x in zip(factors, self._bins, strict=True) if f)
        return self._mip.Sum(terms) + 0.0


def cost_unit(problem: CapacityProblem) -> float:
    """Return the cost of the dearest bin, or 1, to scale programs by."""
    return float(max(one.cost for one in problem.bin_types)) or 1.0
