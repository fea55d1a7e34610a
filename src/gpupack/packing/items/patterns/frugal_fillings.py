"""Listing the fillings that waste little: what nearly full bins can be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels.items import frugal_fillings as kernels
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model import PackingProblem
    from gpupack.packing.items.patterns.simplex import Pattern

MAX_LENGTH = 64
"""Items of a filling up to which ``list_frugal`` lists it."""
FRUGAL_NODES = 2_000_000


def list_frugal(
    problem: PackingProblem, num_bins: int, *, max_patterns: int, deadline: float
) -> list[Pattern] | None:
    """Return every filling that a packing into ``num_bins`` can contain, if few.

    Together the bins hold a known amount beyond the items, in each dimension, so
    no single bin can waste more than that.

    Returns:
        None if there are more than ``max_patterns`` or the search was cut.
    """
    budget = num_bins * problem.capacities - problem.counts @ problem.sizes
    if (budget < 0).any():
        return []
    type_of = np.repeat(np.arange(problem.num_types), problem.counts)
    listed = list_frugal_members(
        problem.sizes[type_of],
        problem.capacities,
        budget,
        type_of=type_of,
        max_fillings=max_patterns,
        deadline=deadline,
    )
    if listed is None:
        return None
    patterns = []
    for members, length in zip(*listed, strict=True):
        kinds, counts = np.unique(type_of[members[:length]], return_counts=True)
        patterns.append(tuple(zip(kinds.tolist(), counts.tolist(), strict=True)))
    return patterns


def list_frugal_members(
    sizes: NDArray[np.int64],
    capacities: NDArray[np.int64],
    budget: NDArray[np.int64],
    *,
    type_of: NDArray[np.int64] | None = None,
    max_fillings: int,
    max_nodes: int = FRUGAL_NODES,
    deadline: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the items of every filling that wastes at most the budget, if few.

    Args:
        sizes: Of the items, shape (items, dimensions).
        capacities: Shape (dimensions,).
        budget: Shape (dimensions,).
        type_of: Items of one type are alike: one of such fillings is enough. All
            are different if None.
        max_fillings: That are few.
        max_nodes: Of the search, at which it is cut.
        deadline: On the clock of ``time.perf_counter``; then the search is cut.

    Returns:
        The items (shape (fillings, longest)) and how many each filling has; None
        if there are more fillings or the search was cut.
    """
    if type_of is None:
        type_of = np.arange(len(sizes))
    # The dimension with least to waste first, its largest items first.
    tightest = np.argsort(budget / capacities, kind="stable")
    order = np.lexsort((type_of, -sizes[:, tightest[0]]))
    members = np.empty((max_fillings, MAX_LENGTH), dtype=np.int16)
    lengths = np.empty(max_fillings, dtype=np.int64)
    found = call_until(
        deadline,
        kernels.list_frugal,
        np.ascontiguousarray(sizes[order][:, tightest]),
        type_of[order],
        capacities[tightest],
        budget[tightest],
        max_nodes,
        members,
        lengths,
    )
    if found < 0:
        return None
    lengths = lengths[:found]
    longest = int(lengths.max(initial=0))
    filled = np.arange(longest) < lengths[:, None]
    items = np.where(filled, order[np.where(filled, members[:found, :longest], 0)], 0)
    return items.astype(np.int64), lengths
