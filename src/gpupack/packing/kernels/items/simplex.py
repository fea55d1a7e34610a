"""Pivots of the revised simplex method on a dense inverse (see ``packing.simplex``)."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels.library import FLAGS, INTEGER, INTEGERS, REALS, Kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Reals = NDArray[np.float64]

_invert = Kernel("invert", INTEGER, *3 * (INTEGERS,), *2 * (REALS,), INTEGERS)
_pivot = Kernel(
    "pivot",
    *2 * (INTEGER,),
    *3 * (REALS,),
    INTEGERS,
    REALS,
    *2 * (INTEGERS,),
    REALS,
    INTEGER,
    FLAGS,
    INTEGER,
    ctypes.POINTER(INTEGER),
)


def invert(
    basis: Integers, starts: Integers, rows: Integers, column_values: Reals
) -> tuple[Reals, Integers, bool]:
    """Return the inverse of the basis, transposed, the basis reordered, and success.

    Args:
        basis: Columns; -1 - k is the slack of row k.
        starts: Of each column's entries.
        rows: Of the entries.
        column_values: The entries.
    """
    inverse = np.empty((len(basis), len(basis)))
    reordered = np.empty_like(basis)
    is_regular = _invert(
        len(basis), basis, starts, rows, column_values, inverse, reordered
    )
    return inverse, reordered, bool(is_regular)


def pivot(
    is_dual: bool,
    shifts: Reals,
    inverse: Reals,
    values: Reals,
    basis: Integers,
    duals: Reals,
    starts: Integers,
    rows: Integers,
    column_values: Reals,
    num_columns: int,
    in_basis: NDArray[np.bool_],
    max_pivots: int,
) -> tuple[bool, int]:
    """Pivot until none is left to do; return (whether so, pivots).

    Primal pivots while a column prices out, dual ones while a basic value is negative.
    ``shifts`` are added to the costs of rows' slacks and then of columns in dual ones.
    ``inverse``, ``values``, ``basis``, ``duals`` and ``in_basis`` are written to.
    """
    pivots = INTEGER()
    is_done = _pivot(
        int(is_dual),
        len(values),
        shifts,
        inverse,
        values,
        basis,
        duals,
        starts,
        rows,
        column_values,
        num_columns,
        in_basis,
        max_pivots,
        pivots,
    )
    return bool(is_done), pivots.value
