"""Searches for valuable fillings of one bin (see ``pricing``)."""

import numpy as np

from gpupack.packing.kernels.bin_relaxation import relaxation_multipliers
from gpupack.packing.kernels.compile import kernel

NODES_PER_LOOK = 1024


@kernel
def _fits(sizes, item, free):
    for dimension in range(len(free)):
        if sizes[item, dimension] > free[dimension]:
            return False
    return True


@kernel
def _copies(sizes, item, free, limit):
    copies = limit
    for dimension in range(len(free)):
        size = sizes[item, dimension]
        if size > 0:
            if copies == 1:
                if size > free[dimension]:
                    return 0
            else:
                copies = min(copies, free[dimension] // size)
    return copies


@kernel
def _exceeds(sizes, duals, weights, limits, order, start, free, room, needed):
    # Whether the fractional knapsack over items from ``start``, by falling
    # efficiency, is worth more than ``needed``.
    value = 0.0
    for item in order:
        if item < start or limits[item] == 0 or not _fits(sizes, item, free):
            continue
        weight = weights[item] * limits[item]
        if weight <= room:
            room -= weight
            value += duals[item] * limits[item]
        else:
            value += duals[item] * room / weights[item]
            return value > needed
        if value > needed:
            return True
    return value > needed


@kernel
def knapsack_tables(shares, duals, supply, grids, tables):
    """Fill ``tables`` with single-constraint bounds.

    Entry [c, k, r] is the most that items from k on can be worth within r of the
    ``grids[c]`` parts of constraint c. Shares are rounded down to the grid, so the
    entries are upper bounds.
    """
    num_constraints, num_items = shares.shape
    tables[:, num_items, :] = 0.0
    for constraint in range(num_constraints):
        grid = grids[constraint]
        for item in range(num_items - 1, -1, -1):
            share = shares[constraint, item]
            weight = int(np.floor(share * grid + 1e-9))
            # An exact size that is a whole number of cells may round either way.
            if weight / grid > share + 1e-12:
                weight -= 1
            after = tables[constraint, item + 1]
            row = tables[constraint, item]
            if weight <= 0:
                for cell in range(grid + 1):
                    row[cell] = after[cell] + supply[item] * duals[item]
                continue
            for cell in range(grid + 1):
                best = after[cell]
                for copies in range(1, min(supply[item], cell // weight) + 1):
                    best = max(
                        best, after[cell - copies * weight] + copies * duals[item]
                    )
                row[cell] = best


@kernel
def _within_tables(tables, grids, at, rooms, needed):
    # Whether every single-constraint bound leaves more than ``needed``.
    for constraint in range(len(grids)):
        grid = grids[constraint]
        cell = min(grid, int(rooms[constraint] * grid + 1e-6))
        if tables[constraint, at, cell] <= needed:
            return False
    return True


@kernel
def _surrogate(shares, multipliers, duals, weights):
    # Set the weights in the surrogate constraint; return items by efficiency.
    num_items = len(duals)
    efficiency = np.empty(num_items)
    for item in range(num_items):
        weight = 0.0
        for dimension in range(len(multipliers)):
            weight += multipliers[dimension] * shares[dimension, item]
        weights[item] = weight
        efficiency[item] = -duals[item] / max(weight, 1e-12)
    return np.argsort(efficiency)


@kernel
def search(
    sizes,
    capacities,
    duals,
    supply,
    shares,
    multipliers,
    num_big,
    threshold,
    node_limit,
    patience,
    grids,
    tables,
    list_all,
    out,
    stop,
):
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
    num_items, num_dimensions = sizes.shape
    free = capacities.copy()
    rooms = np.ones(num_dimensions + 1)
    counts = np.zeros(num_items, dtype=np.int64)
    root_weights = shares[num_dimensions]
    weights = np.empty(num_items)
    root_order = _surrogate(shares, multipliers, duals, weights)
    order, limits, prices = root_order, supply.copy(), multipliers
    is_tuned = num_big == 0
    best, value = threshold, 0.0
    recorded, nodes, at = 0, 0, 0
    while True:
        nodes += 1
        if nodes > node_limit or (recorded > 0 and nodes > patience and not list_all):
            return recorded, best, False
        if nodes % NODES_PER_LOOK == 0 and stop[0] != 0:
            return recorded, best, False
        if at < num_items:
            needed = best - value + (-1e-9 if list_all else 1e-9)
            rooms[num_dimensions] = 0.0
            for dimension in range(num_dimensions):
                rooms[dimension] = free[dimension] / capacities[dimension]
                rooms[num_dimensions] += multipliers[dimension] * rooms[dimension]
            go_on = needed < 0 or _within_tables(tables, grids, at, rooms, needed)
            if go_on and at < num_big:
                room = rooms[num_dimensions] + 1e-9
                go_on = needed < 0 or _exceeds(
                    sizes,
                    duals,
                    root_weights,
                    supply,
                    root_order,
                    at,
                    free,
                    room,
                    needed,
                )
            elif go_on:
                if not is_tuned:
                    for item in range(num_items):
                        limits[item] = 0
                        if item >= num_big:
                            limits[item] = _copies(sizes, item, free, supply[item])
                    prices = relaxation_multipliers(
                        shares, duals, limits, rooms[:num_dimensions]
                    )
                    order = _surrogate(shares, prices, duals, weights)
                    is_tuned = True
                room = 1e-9
                for dimension in range(num_dimensions):
                    room += prices[dimension] * rooms[dimension]
                go_on = needed < 0 or _exceeds(
                    sizes, duals, weights, limits, order, at, free, room, needed
                )
            if go_on:
                # Take as many as fit of the next item that fits at all; but let
                # the surrogate be tuned before the first of the small ones.
                end = num_big if at < num_big else num_items
                while at < end:
                    copies = _copies(sizes, at, free, supply[at])
                    if copies > 0:
                        counts[at] = copies
                        for dimension in range(num_dimensions):
                            free[dimension] -= copies * sizes[at, dimension]
                        value += copies * duals[at]
                        is_tuned = is_tuned and at >= num_big
                        at += 1
                        break
                    at += 1
                if not list_all and value > best + 1e-9:
                    best = value
                    out[recorded % len(out), :] = counts
                    recorded += 1
                continue
        elif (
            list_all and value >= threshold and _is_maximal(sizes, supply, counts, free)
        ):
            if recorded == len(out):
                return recorded, best, False
            for item in range(num_items):
                out[recorded, item] = counts[item]
            recorded += 1
        at -= 1
        while at >= 0 and counts[at] == 0:
            at -= 1
        if at < 0:
            return recorded, best, True
        counts[at] -= 1
        for dimension in range(num_dimensions):
            free[dimension] += sizes[at, dimension]
        value -= duals[at]
        is_tuned = is_tuned and at >= num_big
        at += 1


@kernel
def _is_maximal(sizes, supply, counts, free):
    for item in range(len(counts)):
        if counts[item] < supply[item] and _fits(sizes, item, free):
            return False
    return True


@kernel
def search_disjoint(
    sizes,
    capacities,
    duals,
    supply,
    shares,
    multipliers,
    num_big,
    threshold,
    node_limit,
    grids,
    tables,
    out,
    stop,
):
    """Find fillings one after the other, each from what is left; return how many.

    ``supply`` is that of all fillings together. The other arguments are those of
    ``search``.
    """
    num_items = len(duals)
    left = supply.copy()
    one = np.zeros((1, num_items), dtype=np.int64)
    limits = np.empty(num_items, dtype=np.int64)
    found = 0
    while found < len(out):
        for item in range(num_items):
            limits[item] = _copies(sizes, item, capacities, left[item])
        # Tables for the whole supply still bound what a part of it can give.
        recorded, _, _ = search(
            sizes,
            capacities,
            duals,
            limits,
            shares,
            multipliers,
            num_big,
            threshold,
            node_limit,
            node_limit,
            grids,
            tables,
            False,
            one,
            stop,
        )
        if recorded == 0 or stop[0] != 0:
            break
        # Take the filling as often as the supply allows; one column is enough.
        repeats = 1 << 62
        for item in range(num_items):
            if one[0, item] > 0:
                repeats = min(repeats, left[item] // one[0, item])
        for item in range(num_items):
            left[item] -= repeats * one[0, item]
        out[found, :] = one[0]
        found += 1
    return found
