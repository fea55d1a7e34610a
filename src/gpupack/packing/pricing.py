"""Pricing: the most valuable filling of one bin, a bounded vector knapsack.

    maximize Σ π_i x_i   subject to   Σ_i s_id x_i ≤ C_d,  0 ≤ x_i ≤ u_i integer

Depth-first branch and bound over the item types by falling efficiency
π_i / μ·s_i. A node is cut by the fractional knapsack over the single surrogate
constraint Σ (μ·s_i) x_i ≤ μ·C, restricted to items that still fit; the
multipliers μ are chosen to make the bound at the root small.

References:
    Glover, "Surrogate constraint duality in mathematical programming",
    Operations Research 23, 1975. Dantzig, "Discrete-variable extremum problems",
    Operations Research 5, 1957.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels import pricing as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.simplex import Pattern

GRID = float(2**30)
"""Duals are rounded down to multiples of 1/GRID, so that sums are exact."""
VALUE_TOLERANCE = 1e-7
MAX_RECORDED = 64
MAX_THOROUGH = 12
"""Fillings of one thorough pricing: a cut search for each takes its time."""
MAX_GRID = 4096
"""Parts into which a capacity is divided for the single-constraint bounds."""
MAX_ENTRIES = 2_000_000
"""Of the tables of those bounds: 16 MB."""


@dataclass(frozen=True)
class PricingResult:
    """Fillings found, best last, and what no filling can exceed.

    Args:
        patterns: Each improving filling met on the way.
        best_value: Value of the best.
        upper_bound: No filling is worth more; infinite if the search was cut.
    """

    patterns: list[Pattern]
    best_value: float
    upper_bound: float


class Pricer:
    """Prices fillings of one bin of a fixed size.

    Args:
        sizes: Shape (types, dimensions).
        capacities: Shape (dimensions,).
    """

    def __init__(self, sizes: NDArray[np.int64], capacities: NDArray[np.int64]) -> None:
        self.sizes = np.ascontiguousarray(sizes)
        self.capacities = capacities
        self._relative = sizes / capacities
        self._multipliers = np.full(len(capacities), 1.0 / len(capacities))
        self._tuned_key = b""
        self._tables_key = b""
        self._tables_of_key = (np.zeros(0, dtype=np.int64), np.zeros((0, 0, 0)))

    def price(
        self,
        duals: NDArray[np.float64],
        supply: NDArray[np.int64],
        *,
        threshold: float = 1.0 + 1e-6,
        node_limit: int,
        patience: int | None = None,
    ) -> PricingResult:
        """Look for the filling of largest dual value above ``threshold``.

        Args:
            duals: Value of one copy of each item type.
            supply: Copies of each type at hand.
            threshold: Only fillings worth more are of interest.
            node_limit: Search nodes before the search is cut.
            patience: Search nodes before any filling above the threshold will do.
        """
        order, weights = self._efficiency_order(duals, supply)
        counts = np.zeros((MAX_RECORDED, len(order)), dtype=np.int64)
        recorded, best, is_complete = kernels.search(
            self.sizes[order],
            self.capacities,
            duals[order],
            weights[order],
            float(self._multipliers.sum()),
            supply[order],
            threshold,
            node_limit,
            node_limit if patience is None else patience,
            *self._tables(order, duals, weights, supply),
            counts,
        )
        upper_bound = np.inf
        if is_complete:
            upper_bound = max(best, threshold) + VALUE_TOLERANCE
        patterns = [
            _to_pattern(order, counts[at % MAX_RECORDED])
            for at in range(max(0, recorded - MAX_RECORDED), recorded)
        ]
        return PricingResult(patterns, best, upper_bound)

    def price_many(
        self,
        duals: NDArray[np.float64],
        supply: NDArray[np.int64],
        *,
        threshold: float = 1.0 + 1e-6,
        node_limit: int,
        thorough: bool = False,
    ) -> list[Pattern]:
        """Return fillings above ``threshold`` that share no copy of an item.

        Each takes its items out of the supply of the next; a cut search is
        good enough here, without the tables unless it is to be ``thorough``.
        """
        order, weights = self._efficiency_order(duals, supply)
        bounds = (np.zeros(0, dtype=np.int64), np.zeros((0, 0, 0)))
        if thorough:
            bounds = self._tables(order, duals, weights, supply)
        most = MAX_THOROUGH if thorough else 2 * MAX_RECORDED
        counts = np.zeros((most, len(order)), dtype=np.int64)
        found = kernels.search_disjoint(
            self.sizes[order],
            self.capacities,
            duals[order],
            weights[order],
            float(self._multipliers.sum()),
            supply[order],
            threshold,
            node_limit,
            *bounds,
            counts,
        )
        return [_to_pattern(order, counts[at]) for at in range(found)]

    def enumerate_maximal(
        self,
        duals: NDArray[np.float64],
        supply: NDArray[np.int64],
        *,
        threshold: float,
        node_limit: int,
        max_patterns: int,
    ) -> list[Pattern] | None:
        """Return every maximal filling worth at least ``threshold``.

        None if there are more than ``max_patterns`` or the search was cut.
        """
        self._tune(duals, supply)
        weights = self._relative @ self._multipliers
        order = _by_efficiency(duals, weights, np.flatnonzero(supply > 0))
        counts = np.zeros((max_patterns, len(order)), dtype=np.int16)
        found = kernels.enumerate_maximal(
            self.sizes[order],
            self.capacities,
            duals[order],
            weights[order],
            float(self._multipliers.sum()),
            supply[order],
            threshold,
            node_limit,
            *self._tables(order, duals, weights, supply),
            counts,
        )
        if found < 0:
            return None
        return [_to_pattern(order, counts[at]) for at in range(found)]

    def _tables(
        self,
        order: NDArray[np.int64],
        duals: NDArray[np.float64],
        weights: NDArray[np.float64],
        supply: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return bounds by every constraint alone, for the search to look up.

        A capacity that is small enough is its own grid: nothing is rounded.
        """
        key = duals.tobytes() + order.tobytes() + weights.tobytes() + supply.tobytes()
        if key == self._tables_key:
            return self._tables_of_key
        num_constraints = len(self.capacities) + 1
        finest = MAX_ENTRIES // (num_constraints * (len(order) + 1))
        finest = max(16, min(MAX_GRID, finest))
        grids = np.minimum(np.append(self.capacities, finest), finest)
        tables = np.empty((num_constraints, len(order) + 1, int(grids.max()) + 1))
        kernels.knapsack_tables(
            self.sizes[order],
            self.capacities,
            duals[order],
            weights[order],
            float(self._multipliers.sum()),
            supply[order],
            grids,
            tables,
        )
        self._tables_key, self._tables_of_key = key, (grids, tables)
        return grids, tables

    def _efficiency_order(
        self, duals: NDArray[np.float64], supply: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        self._tune(duals, supply)
        weights = self._relative @ self._multipliers
        order = _by_efficiency(
            duals, weights, np.flatnonzero((duals > 1e-9) & (supply > 0))
        )
        return order, weights

    def _tune(self, duals: NDArray[np.float64], supply: NDArray[np.int64]) -> None:
        """Lower the Lagrangian bound at the root by changing the multipliers."""
        key = duals.tobytes() + supply.tobytes()
        if key == self._tuned_key:
            return
        self._tuned_key = key
        scale = float(duals.max(initial=0.0)) or 1.0
        self._multipliers = kernels.tune_multipliers(
            self._relative, duals / scale, supply, self._multipliers
        )


def farley_bound(
    duals: NDArray[np.float64], demand: NDArray[np.int64], upper_bound: float
) -> float:
    """Return the bound on bins that duals and the best filling's value prove.

    Dividing the duals by the value of the best filling makes them dual
    feasible, so their value is a bound.

    References:
        Farley, "A note on bounding a class of linear programming problems,
        including cutting stock problems", Operations Research 38, 1990.
    """
    if not np.isfinite(upper_bound):
        return 0.0
    return float(duals @ demand) / max(upper_bound, 1e-9)


def round_to_grid(duals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the duals rounded down to multiples of 1/GRID."""
    rounded: NDArray[np.float64] = np.floor(np.maximum(duals, 0.0) * GRID) / GRID
    return rounded


def _by_efficiency(
    duals: NDArray[np.float64],
    weights: NDArray[np.float64],
    candidates: NDArray[np.int64],
) -> NDArray[np.int64]:
    efficiency = duals[candidates] / np.maximum(weights[candidates], 1e-12)
    return candidates[np.argsort(-efficiency, kind="stable")]


def _to_pattern(order: NDArray[np.int64], counts: NDArray[np.int64]) -> Pattern:
    used = np.flatnonzero(counts)
    pairs = zip(order[used].tolist(), counts[used].tolist(), strict=True)
    return tuple(sorted(pairs))
