"""Turning patterns that cover every item into bins that hold each exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.items.model import Bin, merge_bins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.items.patterns.simplex import Pattern


def drop_surplus(
    patterns: dict[Pattern, int], demand: NDArray[np.int64]
) -> tuple[Bin, ...]:
    """Return bins filled by the patterns, copies beyond the demand left out.

    Args:
        patterns: How many bins follow each pattern; together they cover the demand.
        demand: Copies of each item type to pack.
    """
    left = demand.tolist()
    bins: list[Bin] = []
    for pattern, copies in sorted(patterns.items()):
        remaining = copies
        while remaining:
            counts = tuple(
                (item, min(count, left[item])) for item, count in pattern if left[item]
            )
            if not counts:
                break
            # As many bins alike as the demand allows before a count changes.
            alike = min(remaining, *(left[item] // count for item, count in counts))
            for item, count in counts:
                left[item] -= count * alike
            bins.append(Bin(counts, alike))
            remaining -= alike
    return merge_bins(bins)
