"""Bounds on what a pattern can be worth (see ``capacity.pricing``)."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np  # at run time, too: Struct reads the annotations
from numpy.typing import NDArray

from gpupack.packing.kernels.library import (
    INTEGER,
    REAL,
    REALS,
    STOP,
    Kernel,
    Struct,
)


class Market(NamedTuple):
    """What can be put into the bin, options of a job beside each other.

    By option: ``sizes`` in full and ``capacity`` of the bin, as integers; ``fixed``
    and ``loaded``, what is taken in full and in proportion, as shares of the bin in
    the dimensions that can bind; the ``most`` copies; the ``share`` of its job's need
    that a copy meets; the values ``per_load`` and ``per_copy``; ``whole`` if a copy
    takes no part loads. By job: its options ``first[j]:first[j + 1]``; a ``bonus`` per
    copy for as many as ``wanted``; the ``limit`` of copies.
    """

    job: NDArray[np.int64]
    first: NDArray[np.int64]
    sizes: NDArray[np.int64]
    capacity: NDArray[np.int64]
    fixed: NDArray[np.float64]
    loaded: NDArray[np.float64]
    most: NDArray[np.int64]
    share: NDArray[np.float64]
    per_load: NDArray[np.float64]
    per_copy: NDArray[np.float64]
    whole: NDArray[np.bool_]
    bonus: NDArray[np.float64]
    wanted: NDArray[np.int64]
    limit: NDArray[np.int64]


MARKET = Struct(
    "market", Market, "num_options", "num_jobs", "num_sizes", "num_dimensions"
)
_root_prices = Kernel("root_prices", MARKET.pointer, REALS, REAL, ctypes.POINTER(REAL))
_fill_table = Kernel("fill_table", MARKET.pointer, REALS, INTEGER, INTEGER, REALS, STOP)


def struct_of(market: Market) -> ctypes.Structure:
    """Return a market as the kernels read it."""
    return MARKET.of(
        market,
        num_options=len(market.share),
        num_jobs=len(market.first) - 1,
        num_sizes=len(market.capacity),
        num_dimensions=market.fixed.shape[1],
    )


def root_prices(market: Market, prices: NDArray[np.float64], enough: float) -> float:
    """Improve prices of room for the bin as a whole; return the bound they give.

    Stops at a bound that is low ``enough``.
    """
    bound = REAL()
    _root_prices(struct_of(market), prices, enough, bound)
    return bound.value


def fill_table(
    market: Market,
    prices: NDArray[np.float64],
    dimension: int,
    table: NDArray[np.float64],
    stop: NDArray[np.int8],
) -> None:
    """Fill ``table`` with bounds by the sizes in full of one dimension.

    Entry [k, r] is the most that options from k on can be worth, at these prices of
    room, within r of the parts into which the dimension's capacity is divided. Sizes
    are rounded down to parts. Entries not yet filled in once the entry of ``stop`` is
    not 0 are infinite.
    """
    _fill_table(struct_of(market), prices, dimension, table.shape[1] - 1, table, stop)
