"""Fills bins with little waste, the last ones exactly (``packing.bin_completion``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.kernels.library import (
    INTEGER,
    INTEGERS,
    REAL,
    REALS,
    STATE,
    STOP,
    Kernel,
    integers,
    reals,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_complete = Kernel(
    "complete",
    *2 * (INTEGER,),
    INTEGERS,
    INTEGER,
    INTEGERS,
    REALS,
    INTEGERS,
    INTEGER,
    *2 * (REAL,),
    *3 * (INTEGER,),
    STATE,
    INTEGERS,
    STOP,
)


def complete(
    sizes: Integers,
    num_hard: int,
    type_of: Integers,
    scores: NDArray[np.float64],
    capacities: Integers,
    num_bins: int,
    noise: float,
    thrift: float,
    fill_nodes: int,
    max_fillings: int,
    cover_nodes: int,
    state: NDArray[np.uint64],
    bin_of: Integers,
    stop: NDArray[np.int8],
) -> bool:
    """Try once to pack all items into ``num_bins``.

    Args:
        sizes: Shape (items ≥ 1, columns).
        num_hard: Columns that are dimensions and must not overflow; a further one
            guides the search by the items' values.
        type_of: Of each item, rising.
        scores: Of each item: large ones come first.
        capacities: By column.
        num_bins: At least 1.
        noise: Width of the factor by which scores vary.
        thrift: Share of its part of the waste that a filling may take.
        fill_nodes: Nodes of the search for one filling.
        max_fillings: Listed of the last items.
        cover_nodes: Nodes of the search among those.
        state: Of the random numbers, one that is not 0; written to.
        bin_of: Takes the bin of each item.
        stop: Ends the search once its entry is not 0.

    Returns:
        Whether ``bin_of`` is a packing.
    """
    return bool(
        _complete(
            *sizes.shape,
            integers(sizes),
            num_hard,
            integers(type_of),
            reals(scores),
            integers(capacities),
            num_bins,
            noise,
            thrift,
            fill_nodes,
            max_fillings,
            cover_nodes,
            state,
            bin_of,
            stop,
        )
    )
