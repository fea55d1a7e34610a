"""Bounds on what a pattern can be worth (see ``capacity.pricing``)."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from gpupack.packing.kernels.library import (
    FLAGS_FIELD,
    INTEGER,
    INTEGERS_FIELD,
    REAL,
    REALS,
    REALS_FIELD,
    STOP,
    Arrays,
    Kernel,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


class MarketArrays(Arrays):
    """``market`` of ``pattern_bounds.h``."""

    _fields_: ClassVar = [
        ("num_options", INTEGER),
        ("num_jobs", INTEGER),
        ("num_sizes", INTEGER),
        ("num_dimensions", INTEGER),
        ("job", INTEGERS_FIELD),
        ("first", INTEGERS_FIELD),
        ("sizes", INTEGERS_FIELD),
        ("capacity", INTEGERS_FIELD),
        ("fixed", REALS_FIELD),
        ("loaded", REALS_FIELD),
        ("most", INTEGERS_FIELD),
        ("share", REALS_FIELD),
        ("per_load", REALS_FIELD),
        ("per_copy", REALS_FIELD),
        ("whole", FLAGS_FIELD),
        ("bonus", REALS_FIELD),
        ("wanted", INTEGERS_FIELD),
        ("limit", INTEGERS_FIELD),
    ]


_MARKET = ctypes.POINTER(MarketArrays)
_root_prices = Kernel("root_prices", _MARKET, REALS, REAL, ctypes.POINTER(REAL))
_fill_table = Kernel("fill_table", _MARKET, REALS, INTEGER, INTEGER, REALS, STOP)


def arrays_of(market: Market) -> MarketArrays:
    """Return a market as the kernels read it."""
    structure = MarketArrays()
    structure.fill(
        (
            len(market.share),
            len(market.first) - 1,
            len(market.capacity),
            market.fixed.shape[1],
        ),
        market,
    )
    return structure


def root_prices(market: Market, prices: NDArray[np.float64], enough: float) -> float:
    """Improve prices of room for the bin as a whole; return the bound they give.

    Stops at a bound that is low ``enough``.
    """
    bound = REAL()
    _root_prices(arrays_of(market), prices, enough, bound)
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
    _fill_table(arrays_of(market), prices, dimension, table.shape[1] - 1, table, stop)
