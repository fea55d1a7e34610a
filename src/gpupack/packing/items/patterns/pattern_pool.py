"""Turning patterns, and the bin of every copy, into packings and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import Bin, merge_bins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model import PackingProblem
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


def number_bins(problem: PackingProblem, bins: tuple[Bin, ...]) -> NDArray[np.int64]:
    """Return the number of every copy's bin, copies ordered by type, shape (items,)."""
    bin_of = np.empty(problem.num_items, dtype=np.int64)
    next_item = np.concatenate([[0], np.cumsum(problem.counts)[:-1]])
    number = 0
    for one_bin in bins:
        for _ in range(one_bin.multiplicity):
            for kind, count in one_bin.counts:
                start = int(next_item[kind])
                bin_of[start : start + count] = number
                next_item[kind] += count
            number += 1
    return bin_of


def to_bins(
    type_of: NDArray[np.int64], bin_of: NDArray[np.int64], num_bins: int
) -> tuple[Bin, ...]:
    """Return the packing in which every copy is in the bin of its number.

    Args:
        type_of: Of every copy.
        bin_of: Of every copy, below ``num_bins``.
        num_bins: Empty ones are left out.
    """
    contents: list[dict[int, int]] = [{} for _ in range(num_bins)]
    for kind, one_bin in zip(type_of.tolist(), bin_of.tolist(), strict=True):
        contents[one_bin][kind] = contents[one_bin].get(kind, 0) + 1
    return merge_bins(
        Bin(tuple(sorted(counts.items()))) for counts in contents if counts
    )
