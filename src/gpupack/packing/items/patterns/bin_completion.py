"""Bin completion: fill bins with hardly any waste, then search the rest exactly.

A packing into K bins can waste only what K bins hold beyond the items: in every
dimension, and in value when duals are known (a filling's reduced cost, of which
K minus the linear program's value may be spent). Where the bound is nearly
reached, that is little. So bins are filled one after the other, the largest item
first, each by a search for a filling that wastes no more than its share. The largest
is that with the largest share of a bin in any dimension or, every other time, by a
sum of shares that counts scarce dimensions more. As soon as all fillings of the items
left can be listed, branching on patterns decides whether they hold a packing: the item
in the fewest fillings next, fillings that spend too much struck out.

References:
    Gupta and Ho, "A new heuristic algorithm for the one-dimensional bin-packing
    problem", Production Planning & Control 10, 1999: minimum bin slack. Korf,
    "An improved algorithm for optimal bin packing", IJCAI 2003: bin completion.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels.items import bin_completion as kernels
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model import PackingProblem
    from gpupack.packing.items.patterns.simplex import Pattern

MAX_ITEMS = 2_500
"""Beyond it one attempt takes seconds."""
VALUE_SCALE = 10**6
"""The value of a full bin, when duals become integers."""
NOISE = 0.6
"""Width of the factor by which an item's place in the order varies."""
THRIFT = 0.5
"""Share of the waste left to spend that a filling may take without a better sought."""
FILL_NODES = 20_000
MAX_FILLINGS = 20_000
COVER_NODES = 20_000


class CompletionSearch:
    """Looks for packings into a given number of bins.

    Args:
        problem: The canonical problem.
        seed: For every random choice.
        deadline: When every attempt is to stop, on ``time.perf_counter``.
    """

    def __init__(
        self, problem: PackingProblem, *, seed: int, deadline: float = math.inf
    ) -> None:
        self._problem = problem
        self._deadline = deadline
        self._state = np.array([0x9E3779B97F4A7C15 + seed], dtype=np.uint64)
        self._num_attempts = 0

    def attempt(
        self,
        left: NDArray[np.int64],
        num_bins: int,
        duals: NDArray[np.float64] | None = None,
        *,
        effort: float = 1.0,
    ) -> dict[Pattern, int] | None:
        """Try once to pack what is left; return the fillings, or None.

        Args:
            left: Copies of each item type to pack.
            num_bins: How many bins to pack them into.
            duals: Values of the types that no filling, or hardly any, brings
                above 1; they guide the search and cannot make its answer wrong.
            effort: Multiplies the search nodes, and the fillings of the last bins.
        """
        problem = self._problem
        if not left.any():
            return {}
        if num_bins < 1 or (num_bins * problem.capacities < left @ problem.sizes).any():
            return None
        columns, capacities = problem.sizes, problem.capacities
        if duals is not None:
            value = float(duals @ left)
            scaled = duals * min(1.0, num_bins / value) if value > 0 else duals
            values = np.floor(scaled * VALUE_SCALE).astype(np.int64)
            columns = np.column_stack([columns, values])
            capacities = np.append(capacities, VALUE_SCALE)
        type_of = np.repeat(np.arange(problem.num_types), left)
        sizes = np.ascontiguousarray(columns[type_of])
        shares = sizes / capacities
        if self._num_attempts % 2 == 0:
            # What takes most of a bin in any dimension finds fewest partners. Last,
            # an item that is large where there is room to waste would find none.
            scores = shares.max(axis=1)
        else:
            # A dimension counts by how little of it can be wasted.
            scores = shares @ (1.0 / (1.02 - shares.sum(axis=0) / num_bins))
        self._num_attempts += 1
        bin_of = np.zeros(len(sizes), dtype=np.int64)
        if not call_until(
            self._deadline,
            kernels.complete,
            sizes,
            problem.num_dimensions,
            type_of,
            scores,
            capacities,
            num_bins,
            NOISE,
            THRIFT,
            int(effort * FILL_NODES),
            int(effort * MAX_FILLINGS),
            int(effort * COVER_NODES),
            self._state,
            bin_of,
        ):
            return None
        return _to_patterns(type_of, bin_of, num_bins)


def _to_patterns(
    type_of: NDArray[np.int64], bin_of: NDArray[np.int64], num_bins: int
) -> dict[Pattern, int]:
    contents: list[dict[int, int]] = [{} for _ in range(num_bins)]
    for kind, one_bin in zip(type_of.tolist(), bin_of.tolist(), strict=True):
        contents[one_bin][kind] = contents[one_bin].get(kind, 0) + 1
    patterns: dict[Pattern, int] = {}
    for counts in contents:
        if counts:
            pattern = tuple(sorted(counts.items()))
            patterns[pattern] = patterns.get(pattern, 0) + 1
    return patterns
