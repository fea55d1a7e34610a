"""Searches for valuable fillings of one bin (see ``packing.pricing``)."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from gpupack.packing.kernels.library import (
    INTEGER,
    INTEGERS,
    REAL,
    REALS,
    STOP,
    Kernel,
    integers,
    reals,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Reals = NDArray[np.float64]

_MARKET = (  # what `_market` returns
    *2 * (INTEGER,),
    *2 * (INTEGERS,),
    REALS,
    INTEGERS,
    *2 * (REALS,),
    INTEGER,
)
_TABLES = (*2 * (INTEGER,), INTEGERS, REALS)
_knapsack_tables = Kernel(
    "knapsack_tables", *3 * (INTEGER,), *2 * (REALS,), *2 * (INTEGERS,), REALS, STOP
)
_search = Kernel(
    "search",
    *_MARKET,
    REAL,
    *2 * (INTEGER,),
    *_TABLES,
    *2 * (INTEGER,),
    INTEGERS,
    ctypes.POINTER(INTEGER),
    ctypes.POINTER(REAL),
    STOP,
)
_search_disjoint = Kernel(
    "search_disjoint", *_MARKET, REAL, INTEGER, *_TABLES, INTEGER, INTEGERS, STOP
)
_lift = Kernel(
    "lift",
    *2 * (INTEGER,),
    *3 * (INTEGERS,),
    INTEGER,
    INTEGERS,
    INTEGER,
    INTEGERS,
    *2 * (INTEGER,),
    *3 * (INTEGERS,),
    STOP,
)

_improve_fillings = Kernel(
    "improve_fillings",
    *2 * (INTEGER,),
    *2 * (INTEGERS,),
    REALS,
    INTEGERS,
    INTEGER,
    *2 * (INTEGERS,),
    REAL,
    *2 * (INTEGER,),
    INTEGERS,
    ctypes.POINTER(INTEGER),
    STOP,
)


def knapsack_tables(
    shares: Reals,
    duals: Reals,
    supply: Integers,
    grids: Integers,
    tables: Reals,
    stop: NDArray[np.int8],
) -> None:
    """Fill ``tables`` with single-constraint bounds.

    Entry [c, k, r] is the most that items from k on can be worth within r of the
    ``grids[c]`` parts of constraint c. Shares are rounded down to the grid, so the
    entries are upper bounds; those not yet filled in once the entry of ``stop`` is not
    0 are infinite.
    """
    _knapsack_tables(
        *shares.shape,
        tables.shape[2],
        reals(shares),
        reals(duals),
        integers(supply),
        integers(grids),
        tables,
        stop,
    )


def search(
    sizes: Integers,
    capacities: Integers,
    duals: Reals,
    supply: Integers,
    shares: Reals,
    multipliers: Reals,
    num_big: int,
    threshold: float,
    node_limit: int,
    patience: int,
    grids: Integers,
    tables: Reals,
    list_all: bool,
    out: Integers,
    stop: NDArray[np.int8],
) -> tuple[int, float, bool]:
    """Search the fillings depth first; return (recorded, value, complete).

    Args:
        sizes: Of the types with a value, the big ones first.
        capacities: Of the bin.
        duals: Value of one copy.
        supply: Copies that a filling may have.
        shares: Part of each constraint that one copy takes: every dimension's,
            and last that of the surrogate constraint.
        multipliers: Of the surrogate constraint, adding up to 1.
        num_big: How many types are big: first it is decided which of them are in,
            then the surrogate is tuned to the room that they leave.
        threshold: Only fillings worth more are of interest.
        node_limit: Nodes before the search is cut.
        patience: Nodes before any filling above the threshold will do.
        grids: Of the tables, empty to do without.
        tables: See ``knapsack_tables``.
        list_all: Record every maximal filling above the threshold, not each one
            that is better than those before.
        out: Takes the fillings; the search for the best goes round in it, the
            search for all is cut when it is full.
        stop: Cuts the search once its entry is not 0.
    """
    recorded, value = INTEGER(), REAL()
    is_complete = _search(
        *_market(sizes, capacities, duals, supply, shares, multipliers, num_big),
        threshold,
        node_limit,
        patience,
        *_with_grids(tables, grids),
        int(list_all),
        len(out),
        out,
        recorded,
        value,
        stop,
    )
    return recorded.value, value.value, bool(is_complete)


def search_disjoint(
    sizes: Integers,
    capacities: Integers,
    duals: Reals,
    supply: Integers,
    shares: Reals,
    multipliers: Reals,
    num_big: int,
    threshold: float,
    node_limit: int,
    grids: Integers,
    tables: Reals,
    out: Integers,
    stop: NDArray[np.int8],
) -> int:
    """Find fillings one after the other, each from what is left; return how many.

    ``supply`` is that of all fillings together. The other arguments are those of
    ``search``.
    """
    return _search_disjoint(
        *_market(sizes, capacities, duals, supply, shares, multipliers, num_big),
        threshold,
        node_limit,
        *_with_grids(tables, grids),
        len(out),
        out,
        stop,
    )


def improve_fillings(
    sizes: Integers,
    capacities: Integers,
    duals: Reals,
    supply: Integers,
    starts: Integers,
    members: Integers,
    threshold: float,
    most_removed: int,
    first: int,
    out: Integers,
    stop: NDArray[np.int8],
) -> tuple[int, int]:
    """Improve fillings by exchanges; return how many were, and the next to look at.

    Args:
        sizes: Of the types with a value, by falling value.
        capacities: Of the bin.
        duals: Value of one copy, falling.
        supply: Copies that a filling may have.
        starts: Of the fillings in ``members``, and the end.
        members: Types in the fillings, once per copy.
        threshold: Only fillings worth more are of interest.
        most_removed: Members that one exchange takes out, 1 or 2.
        first: The filling to begin with; the search goes round once.
        out: Takes the improved fillings; the search ends when it is full.
        stop: Ends the search once its entry is not 0.
    """
    after = INTEGER(first)
    found = _improve_fillings(
        *sizes.shape,
        integers(sizes),
        integers(capacities),
        reals(duals),
        integers(supply),
        len(starts) - 1,
        integers(starts),
        integers(members),
        threshold,
        most_removed,
        len(out),
        out,
        after,
        stop,
    )
    return found, after.value


def lift(
    sizes: Integers,
    counts: Integers,
    capacities: Integers,
    full: int,
    order: Integers,
    items: Integers,
    node_limit: int,
    at_once: bool,
    values: Integers,
    lifts: Integers,
    uses: Integers,
    stop: NDArray[np.int8],
) -> int:
    """Find how much the value of each item can grow without any filling above ``full``.

    Args:
        sizes: Shape (types, dimensions).
        counts: Copies of each type.
        capacities: Of the bin.
        full: What no filling is worth more than.
        order: Types by falling value, about.
        items: Types of which a bin holds at most one copy.
        node_limit: Nodes of the search for each; an item whose search is cut, as at
            ``stop``, is not lifted.
        at_once: Lift each in ``values`` before the next is looked at.
        values: Of each type, at least 0.
        lifts: Takes by how much each of the items can be lifted.
        uses: Copies of each type in the items' most valuable fillings are added to it,
            unless they are lifted at once.
        stop: Cuts the search once its entry is not 0.

    Returns:
        How many items can be lifted.
    """
    return _lift(
        *sizes.shape,
        integers(sizes),
        integers(counts),
        integers(capacities),
        full,
        integers(order),
        len(items),
        integers(items),
        node_limit,
        int(at_once),
        values,
        lifts,
        uses,
        stop,
    )


def _market(
    sizes: Integers,
    capacities: Integers,
    duals: Reals,
    supply: Integers,
    shares: Reals,
    multipliers: Reals,
    num_big: int,
) -> tuple[object, ...]:
    """Return what there is to choose from as the C functions take it."""
    return (
        *sizes.shape,
        integers(sizes),
        integers(capacities),
        reals(duals),
        integers(supply),
        reals(shares),
        reals(multipliers),
        num_big,
    )


def _with_grids(tables: Reals, grids: Integers) -> tuple[object, ...]:
    """Return tables as the C functions take them."""
    return len(grids), tables.shape[2], integers(grids), reals(tables)
