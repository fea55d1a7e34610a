"""Search for the most valuable pattern of one bin (see ``capacity.pricing``)."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from gpupack.packing.kernels.capacity.pattern_bounds import MARKET, struct_of
from gpupack.packing.kernels.library import (
    INTEGER,
    INTEGERS,
    REAL,
    REALS,
    STOP,
    Kernel,
    reals,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.kernels.capacity.pattern_bounds import Market

    Reals = NDArray[np.float64]

_search_patterns = Kernel(
    "search_patterns",
    MARKET.pointer,
    REALS,
    *2 * (INTEGER,),
    *2 * (REALS,),
    INTEGER,
    REAL,
    *2 * (INTEGER,),
    INTEGERS,
    REALS,
    *2 * (ctypes.POINTER(REAL),),
    STOP,
)


def search(
    market: Market,
    root: Reals,
    table_prices: Reals,
    tables: Reals,
    dimension: int,
    threshold: float,
    gap: float,
    node_limit: int,
    out_counts: NDArray[np.int64],
    out_loads: Reals,
    stop: NDArray[np.int8],
) -> tuple[int, float, float]:
    """Search copies depth first; return (recorded, value, bound).

    The bound is infinite if the search was cut.

    Args:
        market: What there is.
        root: Prices of room to start from.
        table_prices: Of room, for each table.
        tables: See ``fill_table``.
        dimension: Whose sizes in full the tables go by.
        threshold: Only patterns worth more are of interest.
        gap: Relative, between the value of the best pattern and the bound.
        node_limit: Nodes before the search is cut.
        out_counts: Takes the copies of patterns, each better than those before; the
            search goes round in it.
        out_loads: Their loads.
        stop: Cuts the search once its entry is not 0.
    """
    value, bound = REAL(threshold), REAL()
    recorded = _search_patterns(
        struct_of(market),
        reals(root),
        len(tables),
        tables.shape[2] - 1,
        reals(table_prices),
        reals(tables),
        dimension,
        gap,
        node_limit,
        len(out_counts),
        out_counts,
        out_loads,
        value,
        bound,
        stop,
    )
    return recorded, value.value, bound.value
