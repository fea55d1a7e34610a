"""Pricing: the most valuable filling of one bin, a bounded vector knapsack.

    maximize Σ π_i x_i   subject to   Σ_i s_id x_i ≤ C_d,  0 ≤ x_i ≤ u_i integer

Depth-first branch and bound. The item types that take more than half a bin
in some dimension come first, since it is they that make the linear relaxation
weak; then the others; both by falling efficiency π_i / μ·s_i. A node is cut by the
fractional knapsack over the single surrogate constraint Σ (μ·s_i) x_i ≤ μ·C,
restricted to items that still fit. The multipliers μ are the dual prices of the
linear relaxation: at the root, and again each time the big ones are decided.

References:
    Glover, "Surrogate constraint duality in mathematical programming",
    Operations Research 23, 1975. Dantzig, "Discrete-variable extremum problems",
    Operations Research 5, 1957.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels.items import pricing as kernels
from gpupack.packing.kernels.items.bin_relaxation import relaxation_multipliers
from gpupack.packing.runtime import call_until, new_flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.packing.items.patterns.simplex import Pattern

GRID = float(2**30)
"""Duals are rounded down to multiples of 1/GRID, so that sums are exact."""
VALUE_TOLERANCE = 1e-7
WORTHLESS = 1e-9
"""Value of a copy up to which no search for one valuable filling looks at it."""
MAX_RECORDED = 64
MAX_THOROUGH = 12
"""Fillings of one thorough pricing: a cut search for each takes its time."""
MAX_GRID = 4096
"""Parts into which a capacity is divided for the single-constraint bounds."""
MAX_ENTRIES = 2_000_000
"""Of the tables of those bounds: 16 MB."""
QUICK_NODES = 1_000
"""Nodes per filling up to which ``price_many`` takes milliseconds."""
BIG = 1 / 2
"""Share of a bin, in some dimension, above which a type is decided on first."""
MANY = np.iinfo(np.int64).max
NO_TABLES = (np.zeros(0, dtype=np.int64), np.zeros((0, 0, 0)))


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


@dataclass(frozen=True)
class _Setting:
    """What every search at the same duals shares, types in its order."""

    order: NDArray[np.int64]
    num_big: int
    sizes: NDArray[np.int64]
    duals: NDArray[np.float64]
    supply: NDArray[np.int64]
    shares: NDArray[np.float64]
    multipliers: NDArray[np.float64]


class Pricer:
    """Prices fillings of one bin of a fixed size.

    Args:
        sizes: Shape (types, dimensions).
        capacities: Shape (dimensions,).
        deadline: When every search is to stop, on ``time.perf_counter``.
    """

    def __init__(
        self,
        sizes: NDArray[np.int64],
        capacities: NDArray[np.int64],
        *,
        deadline: float = math.inf,
    ) -> None:
        self._deadline = deadline
        self.sizes = np.ascontiguousarray(sizes)
        self.capacities = capacities
        self._shares = np.ascontiguousarray((sizes / capacities).T)
        self._is_big: NDArray[np.bool_] = self._shares.max(axis=0) > BIG
        fits = np.where(sizes > 0, capacities // np.maximum(sizes, 1), MANY)
        self._copies_per_bin: NDArray[np.int64] = fits.min(axis=1)
        self._key: tuple[bytes, bytes, bool] | None = None
        self._setting_of_key: _Setting | None = None
        self._tables_of: _Setting | None = None
        self._tables_of_it = NO_TABLES
        self._next_improved = 0

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
        setting = self._setting(duals, supply, with_worthless=False)
        counts = np.zeros((MAX_RECORDED, len(setting.order)), dtype=np.int64)
        recorded, best, is_complete = self._search(
            setting,
            threshold,
            node_limit,
            node_limit if patience is None else patience,
            False,
            counts,
        )
        upper_bound = np.inf
        if is_complete:
            upper_bound = max(best, threshold) + VALUE_TOLERANCE
        patterns = [
            _to_pattern(setting.order, counts[at % MAX_RECORDED])
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
        setting = self._setting(duals, supply, with_worthless=False)
        most = MAX_THOROUGH if thorough else 2 * MAX_RECORDED
        counts = np.zeros((most, len(setting.order)), dtype=np.int64)
        arguments = (
            setting.sizes,
            self.capacities,
            setting.duals,
            supply[setting.order],
            setting.shares,
            setting.multipliers,
            setting.num_big,
            threshold,
            node_limit,
            *(self._tables(setting) if thorough else NO_TABLES),
            counts,
        )
        if node_limit > QUICK_NODES:
            found = call_until(self._deadline, kernels.search_disjoint, *arguments)
        else:
            # Not worth a thread.
            found = kernels.search_disjoint(*arguments, new_flag())
        return [_to_pattern(setting.order, counts[at]) for at in range(found)]

    def improve(
        self,
        fillings: Sequence[Pattern],
        duals: NDArray[np.float64],
        supply: NDArray[np.int64],
        *,
        most: int,
        threshold: float = 1.0 + 1e-6,
    ) -> list[Pattern]:
        """Return fillings above ``threshold`` that are a few exchanges from others.

        Args:
            fillings: Where to start, those of a basis for example: at its duals they
                are worth 1, so whatever is gained is above.
            duals: Value of one copy of each item type.
            supply: Copies of each type at hand.
            most: How many to return at most; the next call goes on after them.
            threshold: Only fillings worth more are of interest.
        """
        limits = np.minimum(supply, self._copies_per_bin)
        order = np.argsort(-duals, kind="stable")
        order = order[(duals[order] > WORTHLESS) & (limits[order] > 0)]
        place = np.full(len(duals), -1)
        place[order] = np.arange(len(order))
        starts, members = [0], []
        for pattern in fillings:
            for item, count in pattern:
                if place[item] >= 0:
                    members.extend([int(place[item])] * min(count, int(limits[item])))
            starts.append(len(members))
        counts = np.zeros((most, len(order)), dtype=np.int64)
        found, self._next_improved = call_until(
            self._deadline,
            kernels.improve_fillings,
            self.sizes[order],
            self.capacities,
            duals[order],
            limits[order],
            np.array(starts),
            np.array(members, dtype=np.int64),
            threshold,
            2,
            self._next_improved,
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
        setting = self._setting(duals, supply, with_worthless=True)
        counts = np.zeros((max_patterns, len(setting.order)), dtype=np.int64)
        found, _, is_complete = self._search(
            setting, threshold, node_limit, node_limit, True, counts
        )
        if not is_complete:
            return None
        return [_to_pattern(setting.order, counts[at]) for at in range(found)]

    def _search(
        self,
        setting: _Setting,
        threshold: float,
        node_limit: int,
        patience: int,
        list_all: bool,
        out: NDArray[np.int64],
    ) -> tuple[int, float, bool]:
        found: tuple[int, float, bool] = call_until(
            self._deadline,
            kernels.search,
            setting.sizes,
            self.capacities,
            setting.duals,
            setting.supply,
            setting.shares,
            setting.multipliers,
            setting.num_big,
            threshold,
            node_limit,
            patience,
            *self._tables(setting),
            list_all,
            out,
        )
        return found

    def _setting(
        self,
        duals: NDArray[np.float64],
        supply: NDArray[np.int64],
        *,
        with_worthless: bool,
    ) -> _Setting:
        """Return the types in the order of the search and the surrogate constraint."""
        key = (duals.tobytes(), supply.tobytes(), with_worthless)
        if key == self._key and self._setting_of_key is not None:
            return self._setting_of_key
        limits = np.minimum(supply, self._copies_per_bin)
        multipliers = relaxation_multipliers(
            self._shares, duals, limits, np.ones(len(self.capacities))
        )
        if multipliers.sum() <= 0:
            multipliers[:] = 1.0
        multipliers /= multipliers.sum()
        surrogate = multipliers @ self._shares
        is_wanted = limits > 0
        if not with_worthless:
            is_wanted &= duals > WORTHLESS
        efficiency = duals / np.maximum(surrogate, 1e-12)
        order = np.lexsort((-efficiency, ~self._is_big))
        order = order[is_wanted[order]]
        setting = _Setting(
            order=order,
            num_big=int(self._is_big[order].sum()),
            sizes=self.sizes[order],
            duals=duals[order],
            supply=limits[order],
            shares=np.ascontiguousarray(np.vstack([self._shares, surrogate])[:, order]),
            multipliers=multipliers,
        )
        self._key, self._setting_of_key = key, setting
        return setting

    def _tables(
        self, setting: _Setting
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return bounds by every constraint alone, for the search to look up.

        A capacity that is small enough is its own grid: nothing is rounded.
        """
        if setting is self._tables_of:
            return self._tables_of_it
        num_constraints, num_items = setting.shares.shape
        finest = MAX_ENTRIES // (num_constraints * (num_items + 1))
        finest = max(16, min(MAX_GRID, finest))
        grids = np.minimum(np.append(self.capacities, finest), finest)
        tables = np.empty((num_constraints, num_items + 1, int(grids.max()) + 1))
        call_until(
            self._deadline,
            kernels.knapsack_tables,
            setting.shares,
            setting.duals,
            setting.supply,
            grids,
            tables,
        )
        self._tables_of, self._tables_of_it = setting, (grids, tables)
        return grids, tables


def farley_bound(
    duals: NDArray[np.float64], demand: NDArray[np.int64], upper_bound: float
) -> int:
    """Return the number of bins that duals and the best filling's value prove.

    Dividing the duals by the value of the best filling makes them dual
    feasible, so their value is a bound; bins are whole, so it is rounded up. In exact
    arithmetic: a million bins are proved as surely as ten.

    References:
        Farley, "A note on bounding a class of linear programming problems,
        including cutting stock problems", Operations Research 38, 1990.
    """
    if not np.isfinite(upper_bound):
        return 0
    # On the grid of the duals everything is a whole number: no rounding can lift it.
    grid = int(GRID)
    value: int = sum(
        math.floor(Fraction(float(dual)) * grid) * int(count)
        for dual, count in zip(duals, demand.tolist(), strict=True)
        if dual > 0
    )
    return int(-(-value // max(1, math.ceil(Fraction(upper_bound) * grid))))


def round_to_grid(duals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the duals rounded down to multiples of 1/GRID."""
    rounded: NDArray[np.float64] = np.floor(np.maximum(duals, 0.0) * GRID) / GRID
    return rounded


def _to_pattern(order: NDArray[np.int64], counts: NDArray[np.int64]) -> Pattern:
    used = np.flatnonzero(counts)
    pairs = zip(order[used].tolist(), counts[used].tolist(), strict=True)
    return tuple(sorted(pairs))
