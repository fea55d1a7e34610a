"""Lists fillings that waste little (see ``packing.frugal_fillings``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.kernels.library import (
    INTEGER,
    INTEGERS,
    SHORT_INTEGERS,
    STOP,
    Kernel,
    integers,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_list_frugal = Kernel(
    "list_frugal",
    *2 * (INTEGER,),
    *4 * (INTEGERS,),
    *3 * (INTEGER,),
    SHORT_INTEGERS,
    INTEGERS,
    STOP,
)


def list_frugal(
    sizes: Integers,
    type_of: Integers,
    capacities: Integers,
    budget: Integers,
    node_limit: int,
    members: NDArray[np.int16],
    lengths: Integers,
    stop: NDArray[np.int8],
) -> int:
    """List all fillings that waste at most ``budget``.

    Args:
        sizes: Shape (items, dimensions); the first column must fall.
        type_of: Of each item; items of a type follow each other.
        capacities: Of the bin.
        budget: By dimension.
        node_limit: Nodes before the search is cut.
        members: Takes the items of fillings, shape (most fillings, longest).
        lengths: Takes how many they are.
        stop: Cuts the search once its entry is not 0.

    Returns:
        How many fillings; -1 if too many to list, or cut.
    """
    return _list_frugal(
        *sizes.shape,
        integers(sizes),
        integers(type_of),
        integers(capacities),
        integers(budget),
        node_limit,
        *members.shape,
        members,
        lengths,
        stop,
    )
