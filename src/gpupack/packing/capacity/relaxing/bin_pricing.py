"""Exact pricing: the most valuable pattern of one bin, by compiled search.

    maximize    Σ c_o n_o + v_o y_o  +  Σ_j b_j min(k_j, Σ_{o of j} n_o)
    subject to  Σ f_od n_o + l_od y_o ≤ 1 in every dimension d
                Σ_{o of j} s_o y_o ≤ 1 for every job j,  0 ≤ y_o ≤ n_o,  n_o integer

Copies n_o are searched depth first; the best loads y_o of given copies are a small
linear program. A node is cut by one of two bounds. With prices λ on room in every
dimension the jobs decide apart (Lagrange): a sum over jobs, which a few subgradient
steps in λ bring down. With prices on all dimensions but one, the sizes in full of that
one are an ordinary knapsack, whose values for every set of jobs still open and every
room left are in a table: one look. Both hold for whatever λ, so no rounding in how it
was found can make them wrong.

The search asks for patterns that are worth more than the best known one by a certain
share, a large share first: a search that is cut short still leaves the bound of those
before it.

References:
    Fisher, "The Lagrangian relaxation method for solving integer programming
    problems", Management Science 27, 1981. Polyak, "Minimization of unsmooth
    functionals", USSR Computational Mathematics and Mathematical Physics 9, 1969.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.model import Configuration, shapes_of
from gpupack.packing.capacity.relaxing.bin_patterns import Prices, made_to_fit
from gpupack.packing.kernels.capacity import pattern_bounds, pattern_search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern

GAPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Relative, between the best pattern and the bound of one search after the other."""
FAR = 10
"""Gaps below its price at which how much a bin can be worth does not matter."""
MAX_GRID = 1_024
"""Parts of a capacity that the tables tell apart."""
MAX_ENTRIES = 4_000_000
"""Of all tables: 32 MB."""
TABLE_SCALES = (1.0, 0.98, 0.95, 1.03, 0.9, 0.8)
"""Prices of the tables, as shares of those that are best for the whole bin."""
MAX_PATTERNS = 16
NOTHING = 1e-12
ROUNDING = 1e-9
"""Of sums of floats: for each option, relative to the largest value of any, and of the
whole sum. A sum of n terms is off by n · 2^-53 of their sizes at most, which millions
of options do not exceed; terms that prices of room would make negative are left out,
so that sizes are no larger than what a bin may be worth."""
MANY = 1 << 40


@dataclass(frozen=True, slots=True)
class PricedPatterns:
    """What a pricing found.

    Args:
        patterns: Worth more than was known, the best last.
        bound: No pattern is worth more.
        is_cut: Whether a search was, so that more time may find better ones.
    """

    patterns: tuple[Pattern, ...]
    bound: float
    is_cut: bool


@dataclass(frozen=True, slots=True)
class _WholeMarket:
    """All that there is of a ``Market`` before prices; everything by option.

    Args:
        options: Their indices, those of a job beside each other.
        jobs: Index of each one's job.
        sizes: As in ``Market``, as the following are.
        capacity: Of the bin.
        fixed: As shares of the bin.
        loaded: The same.
        most: Copies.
        share: Of the job's need.
        whole: Whether there are no part loads.
        wanted: Of its job.
        limit: Of its job.
    """

    options: NDArray[np.int64]
    jobs: NDArray[np.int64]
    sizes: NDArray[np.int64]
    capacity: NDArray[np.int64]
    fixed: NDArray[np.float64]
    loaded: NDArray[np.float64]
    most: NDArray[np.int64]
    share: NDArray[np.float64]
    whole: NDArray[np.bool_]
    wanted: NDArray[np.int64]
    limit: NDArray[np.int64]

    def market(
        self,
        at: NDArray[np.int64],
        per_load: NDArray[np.float64],
        per_copy: NDArray[np.float64],
        bonus: NDArray[np.float64],
    ) -> pattern_bounds.Market:
        """Return what the options at some places are at some prices.

        Args:
            at: Places, those of a job beside each other.
            per_load: Per option, of all of them.
            per_copy: The same.
            bonus: The same, of its job.
        """
        jobs = self.jobs[at]
        is_first = np.append(True, jobs[1:] != jobs[:-1])
        first = np.flatnonzero(is_first)
        return pattern_bounds.Market(
            job=np.cumsum(is_first) - 1,
            first=np.append(first, len(at)),
            sizes=self.sizes[at],
            capacity=self.capacity,
            fixed=self.fixed[at],
            loaded=self.loaded[at],
            most=self.most[at],
            share=self.share[at],
            per_load=per_load[at],
            per_copy=per_copy[at],
            whole=self.whole[at],
            bonus=bonus[at][first],
            wanted=self.wanted[at][first],
            limit=self.limit[at][first],
        )


class CompiledPricer:
    """Finds valuable patterns of one bin type, and what none can exceed.

    Args:
        problem: What is planned, without a rule of who may share.
        bin_type: Index of the bin type.
    """

    def __init__(self, problem: CapacityProblem, bin_type: int) -> None:
        self._problem = problem
        self._bin_type = bin_type
        self._shapes = shapes_of(problem, bin_type)
        self._dimensions = [
            dimension
            for dimension in range(problem.num_dimensions)
            if dimension not in self._shapes.implied
        ]
        self._all = self._whole_market()
        self._table_room = np.empty(0)

    def best(
        self,
        prices: Prices,
        weights: Sequence[float],
        *,
        known: float,
        price: float,
        node_limit: int,
        stop: NDArray[np.int8],
        close: float = -math.inf,
    ) -> PricedPatterns:
        """Return patterns worth more than is known, and what no pattern exceeds.

        Args:
            prices: What patterns earn.
            weights: About what room in each dimension is worth.
            known: A pattern is worth as much.
            price: Of a bin: once patterns worth more are found, or none can be, the
                bound need not be closer.
            node_limit: Of each search.
            stop: Ends the search once its entry is not 0.
            close: Relative distance to the price at which a bound above it will do.
        """
        every = self._all
        per_load = np.asarray(prices.per_load)[every.options]
        per_copy = np.asarray(prices.per_copy)[every.options]
        bonus = np.asarray(prices.per_wanted)[every.jobs]
        first_copy = per_copy + bonus
        at = np.flatnonzero((per_load > NOTHING) | (first_copy > NOTHING))
        if not len(at):
            return PricedPatterns((), 0.0, is_cut=False)
        top = float(max(per_load[at].max(), first_copy[at].max()))
        earned = per_load / top, per_copy / top, bonus / top
        best = known / top
        room = np.array([weights[dimension] for dimension in self._dimensions]) / top
        market = every.market(at, *earned)
        bound: float = pattern_bounds.root_prices(market, room, best)
        at = at[_order(market, room)]
        options = every.options[at].tolist()
        market = every.market(at, *earned)
        dimension, table_prices, tables = self._tables(market, room, stop)
        for scaled, table in zip(table_prices, tables, strict=True):
            bound = min(bound, float(scaled.sum() + table[0, -1]))
        found: list[Pattern] = []
        is_cut = False
        for gap in GAPS:
            if bound <= best * (1 + gap):
                continue
            if best * top > price * (1 + gap) or bound * top < price * (1 - FAR * gap):
                break
            if bound * top <= price * (1 + close):
                break
            counts = np.zeros((MAX_PATTERNS, len(options)), dtype=np.int64)
            loads = np.zeros((MAX_PATTERNS, len(options)))
            recorded, best, proved = pattern_search.search(
                market,
                room,
                table_prices,
                tables,
                dimension,
                best,
                gap,
                node_limit,
                counts,
                loads,
                stop,
            )
            for place in range(max(0, recorded - MAX_PATTERNS), recorded):
                row = place % MAX_PATTERNS
                found.append(self._pattern(options, counts[row], loads[row]))
            bound = min(bound, proved)
            is_cut = not np.isfinite(proved)
            if is_cut:
                break
        bound = max(best, bound)
        bound = (bound + ROUNDING * (len(options) + abs(bound))) * top
        return PricedPatterns(tuple(found), bound, is_cut=is_cut)

    def _whole_market(self) -> _WholeMarket:
        problem, shapes = self._problem, self._shapes
        options = sorted(
            (index for index in shapes.options if shapes.most[index] > 0),
            key=lambda index: problem.options[index].job,
        )
        rows = [problem.options[index] for index in options]
        jobs = [problem.jobs[row.job] for row in rows]
        at = self._dimensions
        shape = len(options), len(at)
        return _WholeMarket(
            options=np.array(options, dtype=np.int64),
            jobs=np.array([row.job for row in rows], dtype=np.int64),
            sizes=np.array([row.fixed for row in rows], dtype=np.int64),
            capacity=np.array(
                problem.bin_types[self._bin_type].capacity, dtype=np.int64
            ),
            fixed=np.array([[shapes.fixed[i][d] for d in at] for i in options]).reshape(
                shape
            ),
            loaded=np.array(
                [[shapes.loaded[i][d] for d in at] for i in options]
            ).reshape(shape),
            most=np.array([shapes.most[i] for i in options], dtype=np.int64),
            share=np.array(
                [
                    1.0 / one.copies
                    if one.demand is None
                    else row.rate / one.demand
                    if one.demand
                    else 1.0
                    for row, one in zip(rows, jobs, strict=True)
                ]
            ),
            whole=np.array([one.is_whole for one in jobs], dtype=np.bool_),
            wanted=np.array([one.copies for one in jobs], dtype=np.int64),
            limit=np.array(
                [
                    one.copies if one.is_whole else one.max_copies or MANY
                    for one in jobs
                ],
                dtype=np.int64,
            ),
        )

    def _tables(
        self,
        market: pattern_bounds.Market,
        room: NDArray[np.float64],
        stop: NDArray[np.int8],
    ) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
        """Return the dimension of the knapsack, and tables with their prices."""
        capacity = market.capacity
        filled = (market.sizes / np.maximum(capacity, 1)).mean(axis=0)
        dimension = int(np.argmax(np.where(capacity > 0, filled, -1.0)))
        if capacity[dimension] == 0:
            return 0, np.zeros((0, len(room))), np.zeros((0, 1, 1))
        own = room.copy()
        if dimension in self._dimensions:
            at = self._dimensions.index(dimension)
            if not market.loaded[:, at].any():
                own[at] = 0.0  # the knapsack says it all
        finest = MAX_ENTRIES // (len(TABLE_SCALES) * (len(market.share) + 1))
        grid = int(min(MAX_GRID, max(1, finest), capacity[dimension]))
        prices = np.array([own * scale for scale in TABLE_SCALES])
        shape = len(prices), len(market.share) + 1, grid + 1
        if len(self._table_room) < math.prod(shape):
            # Kept: megabytes of memory that is new are filled far more slowly.
            self._table_room = np.empty(math.prod(shape))
        tables = self._table_room[: math.prod(shape)].reshape(shape)
        for one, table in zip(prices, tables, strict=True):
            pattern_bounds.fill_table(market, one, dimension, table, stop)
        return dimension, prices, tables

    def _pattern(
        self,
        options: Sequence[int],
        counts: NDArray[np.int64],
        loads: NDArray[np.float64],
    ) -> Pattern:
        pairs = sorted(
            (option, int(count))
            for option, count in zip(options, counts, strict=True)
            if count
        )
        wanted = dict(zip(options, loads.tolist(), strict=True))
        return made_to_fit(
            self._problem, Configuration(self._bin_type, tuple(pairs)), wanted
        )


def _order(market: pattern_bounds.Market, room: NDArray[np.float64]) -> list[int]:
    """Return options by what their job is worth at these prices, then their own."""
    each = (market.per_load - market.loaded @ room) / market.share
    alone = market.per_copy + market.bonus[market.job] - market.fixed @ room
    alone += np.maximum(0.0, each) * np.minimum(market.share, 1.0)
    of_job = np.full(len(market.bonus), -np.inf)
    np.maximum.at(of_job, market.job, alone)
    return sorted(
        range(len(each)),
        key=lambda at: (-of_job[market.job[at]], market.job[at], -each[at], at),
    )
