"""Exact pricing in rounds: which search prices a bin type, and how patiently."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpupack.packing.capacity.relaxing.pricing_model import ModelPricer
from gpupack.packing.runtime import kernels_are_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern, Prices
    from gpupack.packing.capacity.relaxing.bin_pricing import CompiledPricer

FIRST_NODE_LIMIT = 5_000
MORE_NODES = 4
LAST_NODE_LIMIT = 320_000
"""Of a search in pricing, some 0.1 s; times so many where nothing was found in them."""
KERNELS_WAIT_S = 2.0
KERNELS_SHARE = 0.1
"""Of the time left, to wait for compiled code at most, where it is being built."""


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

    def goes_on(self, is_new: bool) -> bool:
        """Return whether to price again: at new prices, or with more patience."""
        if is_new:
            self._node_limit = FIRST_NODE_LIMIT
            return True
        self._node_limit *= MORE_NODES
        return self.is_cut and self._node_limit <= LAST_NODE_LIMIT

    def priced(
        self,
        bin_type: int,
        prices: Prices,
        weights: Sequence[float],
        *,
        price: float,
        patterns: Iterable[Pattern],
        limit_s: float,
        deadline: float,
    ) -> tuple[Sequence[Pattern], float]:
        """Return valuable patterns of a bin type, and what none can exceed.

        Args:
            bin_type: Index of the bin type.
            prices: What patterns earn.
            weights: About what room in each dimension is worth.
            price: Of a bin.
            patterns: That are known, of all bin types.
            limit_s: For this bin type.
            deadline: For all, on the clock of ``time.perf_counter``.
        """
        if self._is_compiled(deadline):
            known = max(
                (
                    prices.value(pattern)
                    for pattern in patterns
                    if pattern.configuration.bin_type == bin_type
                ),
                default=0.0,
            )
            priced = self._compiled_pricer(bin_type).best(
                prices,
                weights,
                known=known,
                price=price,
                node_limit=self._node_limit,
                deadline=time.perf_counter() + limit_s,
            )
            self.is_cut |= priced.is_cut
            return priced.patterns, priced.bound
        pattern, most = self._model_pricers[bin_type].best(prices, time_limit_s=limit_s)
        return ([] if pattern is None else [pattern]), most
