"""Exact cover: fillings that hold each item once, searched or chosen by likelihood."""

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
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Reals = NDArray[np.float64]

MAX_ITEMS = 128
"""Items that the bits of two words can tell apart."""

_FILLINGS = (*4 * (INTEGER,), *4 * (INTEGERS,))
"""Of what ``_fillings`` returns, which every function of this module takes first."""
_cover = Kernel("cover", *_FILLINGS, INTEGER, INTEGER, INTEGERS, STOP)
_propagate = Kernel("propagate", *_FILLINGS, INTEGER, *3 * (REALS,), STOP)
_decimate = Kernel(
    "decimate",
    *_FILLINGS,
    INTEGER,
    *2 * (REALS,),
    INTEGER,
    REAL,
    STATE,
    INTEGER,
    INTEGERS,
    STOP,
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
        *_fillings(members, lengths, wastes, num_items, budget),
        node_limit,
        len(out),
        out,
        stop,
    )


def propagate(
    members: Integers,
    lengths: Integers,
    wastes: Integers,
    num_items: int,
    budget: Integers,
    sweeps: int,
    messages: Reals,
    rates: Reals,
    odds: Reals,
    stop: NDArray[np.int8],
) -> None:
    """Estimate by belief propagation how likely each filling is in an exact cover.

    Args:
        members: Items of each filling, shape (fillings, longest).
        lengths: How many each has.
        wastes: Shape (fillings, dimensions).
        num_items: Each to be held once.
        budget: What all fillings waste together, by dimension.
        sweeps: Times that every message is sent.
        messages: Of each item to the filling, shape (fillings, longest), all above 0;
            they are written.
        rates: By which a unit of waste multiplies the odds; shape (dimensions,); they
            are written.
        odds: Takes each filling's.
        stop: Cuts the propagation once its entry is not 0.
    """
    _propagate(
        *_fillings(members, lengths, wastes, num_items, budget),
        sweeps,
        messages,
        rates,
        odds,
        stop,
    )


def decimate(
    members: Integers,
    lengths: Integers,
    wastes: Integers,
    num_items: int,
    budget: Integers,
    sweeps: int,
    messages: Reals,
    rates: Reals,
    enough: int,
    noise: float,
    state: NDArray[np.uint64],
    out: Integers,
    stop: NDArray[np.int8],
) -> int:
    """Choose one likely filling after the other, messages settling between.

    Args:
        members: As those of ``propagate``, and the next five.
        lengths: How many each has.
        wastes: Shape (fillings, dimensions).
        num_items: Each to be held once.
        budget: What all fillings waste together, by dimension.
        sweeps: Times that every message is sent after each choice.
        messages: To start from.
        rates: To start from.
        enough: Fillings that may still be chosen at which to stop.
        noise: Chances are multiplied by 1 to 1 + noise.
        state: Of the random numbers.
        out: Takes the fillings chosen.
        stop: Cuts the search once its entry is not 0.

    Returns:
        How many are chosen; 0 if the search was cut.
    """
    return _decimate(
        *_fillings(members, lengths, wastes, num_items, budget),
        sweeps,
        messages,
        rates,
        enough,
        noise,
        state,
        len(out),
        out,
        stop,
    )


def _fillings(
    members: Integers,
    lengths: Integers,
    wastes: Integers,
    num_items: int,
    budget: Integers,
) -> tuple[object, ...]:
    """Return fillings, items and what may be wasted as the C functions take them."""
    return (
        *members.shape,
        num_items,
        wastes.shape[1],
        integers(members),
        integers(lengths),
        integers(wastes),
        integers(budget),
    )
