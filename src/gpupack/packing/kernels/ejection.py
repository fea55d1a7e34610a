"""Guided ejection search over items in bins (see ``packing.ejection``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.kernels.library import (
    INTEGER,
    INTEGERS,
    STATE,
    STOP,
    Kernel,
    integers,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_eject = Kernel(
    "eject",
    *4 * (INTEGER,),
    *7 * (INTEGERS,),
    INTEGER,
    INTEGERS,
    STATE,
    INTEGER,
    INTEGER,
    STOP,
)


def eject(
    sizes: Integers,
    bin_of: Integers,
    slot_of: Integers,
    members: Integers,
    num_members: Integers,
    free: Integers,
    pool: Integers,
    num_pooled: int,
    penalties: Integers,
    state: NDArray[np.uint64],
    rounds: int,
    moves: int,
    stop: NDArray[np.int8],
) -> int:
    """Insert pooled items, ejecting the least penalized, until none is left.

    Every array but ``sizes`` is written to.

    Args:
        sizes: Shape (items, dimensions).
        bin_of: Bin of each item, -1 in the pool.
        slot_of: Its place among the members of its bin.
        members: Shape (bins, most members).
        num_members: By bin.
        free: Shape (bins, dimensions).
        pool: Items without a bin, the first ``num_pooled``.
        num_pooled: How many.
        penalties: By item, ≥ 1.
        state: Of the random numbers, one that is not 0.
        rounds: Insertions to try.
        moves: Random moves after each ejection.
        stop: Ends the search once its entry is not 0.

    Returns:
        The number of items still in the pool.
    """
    return _eject(
        len(sizes),
        len(free),
        sizes.shape[1],
        members.shape[1],
        integers(sizes),
        bin_of,
        slot_of,
        members,
        num_members,
        free,
        pool,
        num_pooled,
        penalties,
        state,
        rounds,
        moves,
        stop,
    )
