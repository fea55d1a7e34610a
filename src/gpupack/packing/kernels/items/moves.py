"""Local search over items in bins: guided ejection, and simulated annealing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.kernels.library import (
    INTEGER,
    INTEGERS,
    REAL,
    STATE,
    STOP,
    Kernel,
    integers,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

MAX_DIMENSIONS = 64
MAX_SUM = 2**31 - 1
"""What all items' sizes may add up to, over all dimensions: loads have 32 bits."""

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
_anneal = Kernel(
    "anneal",
    *3 * (INTEGER,),
    *3 * (INTEGERS,),
    STATE,
    INTEGER,
    REAL,
    REAL,
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


def anneal(
    sizes: Integers,
    capacities: Integers,
    bin_of: Integers,
    state: NDArray[np.uint64],
    num_bins: int,
    num_moves: int,
    first_temperature: float,
    last_temperature: float,
    stop: NDArray[np.int8],
) -> int:
    """Move items among bins so that these overflow by less; return by how much.

    Args:
        sizes: Shape (items, dimensions), ≥ 0, at most ``MAX_SUM`` together.
        capacities: Shape (dimensions,), ≤ ``MAX_SUM``, at most ``MAX_DIMENSIONS``.
        bin_of: Bin of each item; written to.
        state: Of the random numbers, one that is not 0; written to.
        num_bins: At least 1.
        num_moves: To try; fewer if nothing overflows before.
        first_temperature: An excess that the first moves may add one time in e, > 0.
        last_temperature: The same for the last moves, > 0.
        stop: Ends the search once its entry is not 0.

    Returns:
        What loads exceed capacities by, over all bins and dimensions; 0 is a packing.
    """
    return _anneal(
        len(sizes),
        num_bins,
        sizes.shape[1],
        integers(sizes),
        integers(capacities),
        bin_of,
        state,
        num_moves,
        first_temperature,
        last_temperature,
        stop,
    )
