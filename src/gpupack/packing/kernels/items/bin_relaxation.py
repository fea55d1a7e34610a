"""The linear relaxation of filling one bin: few rows, so a simplex of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels.library import (
    INTEGER,
    INTEGERS,
    REALS,
    Kernel,
    integers,
    reals,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_relaxation_multipliers = Kernel(
    "relaxation_multipliers", *2 * (INTEGER,), *2 * (REALS,), INTEGERS, *2 * (REALS,)
)


def relaxation_multipliers(
    shares: NDArray[np.float64],
    duals: NDArray[np.float64],
    limits: NDArray[np.int64],
    room: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the prices of the rows of max π·x, shares·x ≤ room, 0 ≤ x ≤ limits.

    Args:
        shares: Part of the bin that one copy takes, shape (rows or more, types).
        duals: Value of one copy of each type.
        limits: Copies of each type allowed.
        room: What is left of each row.

    Returns:
        Prices ≥ 0, one per row. Any prices give a valid surrogate constraint, so
        stopping early costs strength, not correctness.
    """
    prices = np.zeros(len(room))
    _relaxation_multipliers(
        len(room),
        len(duals),
        reals(shares),
        reals(duals),
        integers(limits),
        reals(room),
        prices,
    )
    return prices
