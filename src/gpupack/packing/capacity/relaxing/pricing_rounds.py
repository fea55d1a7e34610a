"""Exact pricing in rounds: which search prices a bin type, and how patiently."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.relaxing.bin_patterns import KnownPatterns
from gpupack.packing.capacity.relaxing.pricing_model import ModelPricer
from gpupack.packing.runtime import call_until, kernels_are_ready

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern, Prices
    from gpupack.packing.capacity.relaxing.bin_pricing import (
        CompiledPricer,
        PricedPatterns,
    )

FIRST_NODE_LIMIT = 5_000
MORE_NODES = 4
QUICK_NODE_LIMIT = 20_000
LAST_NODE_LIMIT = 320_000
"""Of a search in pricing, some 20 ms; times so many where nothing was found in them."""
MIN_EXACT_PRICING_S = 0.05
MAX_EXACT_PRICING_S = 2.0
"""For the search of one bin type."""
KERNELS_WAIT_S = 2.0
KERNELS_SHARE = 0.1
"""Of the time left, to wait for compiled code at most, where it is being built."""


@dataclass(frozen=True)
class PricedBin:
    """A bin type of which patterns are looked for.

    Args:
        bin_type: Its index.
        weights: About what room in each dimension is worth.
        price: Of a bin.
    """

    bin_type: int
    weights: Sequence[float]
    price: float


class PricingRounds:
    """Prices the bins of one problem, by compiled search where there can be one.

    Args:
        problem: What is planned.
        seed: For every random choice.
    """

    def __init__(self, problem: CapacityProblem, *, seed: int) -> None:
        self._problem = problem
        self._has_waited = False
        self._node_limit = FIRST_NODE_LIMIT
        self.is_cut = False
        """Whether a search of this round was cut, so that more time may find more."""
        self._known = KnownPatterns(problem)
        self._compiled_pricers: dict[int, CompiledPricer] = {}
        self._model_pricers = [
            ModelPricer(problem, index, seed=seed)
            for index in range(len(problem.bin_types))
        ]

    def start_anew(self) -> None:
        """Reset the limits of the searches, for another aim of the master."""
        self._node_limit = FIRST_NODE_LIMIT

    def _is_compiled(self, deadline: float) -> bool:
        if self._problem.rule is not None:
            return False  # compiled code cannot ask it
        left_s = deadline - time.perf_counter()
        wait_s = (
            0.0 if self._has_waited else min(KERNELS_WAIT_S, KERNELS_SHARE * left_s)
        )
        self._has_waited = True
        return kernels_are_ready(wait_s=max(0.0, wait_s))

    def _compiled_pricer(self, bin_type: int) -> CompiledPricer:
        if bin_type not in self._compiled_pricers:
            # Imports searches that small problems do without.
            from gpupack.packing.capacity.relaxing.bin_pricing import CompiledPricer

            self._compiled_pricers[bin_type] = CompiledPricer(self._problem, bin_type)
        return self._compiled_pricers[bin_type]

    def goes_on(
        self, is_new: bool, *, last_node_limit: int, is_better: bool | None = None
    ) -> bool:
        """Return whether to price again: at new prices, or with more patience.

        Args:
            is_new: Patterns were found.
            last_node_limit: Of a search, at most.
            is_better: The bound moved. Where that is asked for, searches that were cut
                and did not move it get more patience, also at new prices.
        """
        if is_better is not None:
            if self.is_cut and not is_better:
                self._node_limit = min(2 * self._node_limit, last_node_limit)
            return is_new or (self.is_cut and self._node_limit <= last_node_limit)
        if is_new:
            self._node_limit = FIRST_NODE_LIMIT
            return True
        self._node_limit *= MORE_NODES
        return self.is_cut and self._node_limit <= last_node_limit

    def priced(
        self,
        bins: Sequence[PricedBin],
        prices: Prices,
        *,
        patterns: Collection[Pattern],
        close: float,
        deadline: float,
    ) -> list[tuple[Sequence[Pattern], float]]:
        """Return valuable patterns of bin types, and what none can exceed.

        Args:
            bins: The bin types.
            prices: What patterns earn.
            patterns: That are known, of all bin types; those of earlier calls first.
            close: Relative distance to a bin's price at which a bound will do.
            deadline: On the clock of ``time.perf_counter``.
        """
        if self._is_compiled(deadline):
            return self._searched(bins, prices, patterns, close, deadline)
        found: list[tuple[Sequence[Pattern], float]] = []
        for place, one in enumerate(bins):
            left_s = deadline - time.perf_counter()
            limit_s = min(MAX_EXACT_PRICING_S, left_s / (len(bins) - place))
            if place and left_s < 0:
                self.is_cut = True
                found.append(((), math.inf))
                continue
            pattern, most = self._model_pricers[one.bin_type].best(
                prices, time_limit_s=max(MIN_EXACT_PRICING_S, limit_s)
            )
            found.append(([] if pattern is None else [pattern], most))
        return found

    def _searched(
        self,
        bins: Sequence[PricedBin],
        prices: Prices,
        patterns: Collection[Pattern],
        close: float,
        deadline: float,
    ) -> list[tuple[Sequence[Pattern], float]]:
        """Return the same by compiled search."""
        self._known.add(patterns)
        known = self._known.most_valuable(prices)

        def search(stop: NDArray[np.int8]) -> list[PricedPatterns]:
            return [
                self._compiled_pricer(one.bin_type).best(
                    prices,
                    one.weights,
                    known=max(0.0, known[one.bin_type]),
                    price=one.price,
                    node_limit=self._node_limit,
                    stop=stop,
                    close=close,
                )
                for one in bins
            ]

        now = time.perf_counter()
        limit_s = min(MAX_EXACT_PRICING_S * len(bins), deadline - now)
        found = call_until(now + max(MIN_EXACT_PRICING_S, limit_s), search)
        self.is_cut |= any(one.is_cut for one in found)
        return [(one.patterns, one.bound) for one in found]
