"""Exact cover: listed fillings that hold each of the last items once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.kernels.library import INTEGER, INTEGERS, STOP, Kernel, integers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

MAX_ITEMS = 128
"""Items that the bits of two words can tell apart."""

_cover = Kernel(
    "cover", *4 * (INTEGER,), *4 * (INTEGERS,), INTEGER, INTEGER, INTEGERS, STOP
)


def cover(
    members: Integers,
    lengths: Integers,
    wastes: Integers,
    num_items: int,
    budget: Integers,
    node_limit: int,
    out: Integers,
    stop: NDArray[np.int8],
) -> int:
    """Partition the items into at most ``len(out)`` fillings, by backtracking.

    Args:
        members: Items of each filling, shape (fillings, longest).
        lengths: How many each has.
        wastes: Shape (fillings, dimensions).
        num_items: At most ``MAX_ITEMS``.
        budget: What all fillings may waste.
        node_limit: Nodes before the search is cut.
        out: Takes the fillings chosen.
        stop: Cuts the search once its entry is not 0.

    Returns:
        How many fillings (0: there is no partition, -1: cut).
    """
    return _cover(
        *members.shape,
        num_items,
        wastes.shape[1],
        integers(members),
        integers(lengths),
        integers(wastes),
        integers(budget),
        node_limit,
        len(out),
        out,
        stop,
    )
