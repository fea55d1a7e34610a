"""Searches for valuable fillings of one bin (see ``pricing``)."""

import numpy as np

from gpupack.packing.kernels.compile import kernel


@kernel
def tune_multipliers(relative, duals, supply, multipliers):
    """Return multipliers with a small Lagrangian bound, by coordinate search."""
    # The bound Σ_d μ_d + Σ_i u_i max(0, π_i − μ·s_i) is convex and piecewise
    # linear in μ, and at least the surrogate bound.
    num_types, num_dimensions = relative.shape
    best = multipliers.copy()
    lowest = np.inf
    step = 0.5
    for sweep in range(12):
        improved = False
        # The first sweep only values the starting point.
        for move in range(2 * num_dimensions if sweep > 0 else 1):
            trial = best.copy()
            if sweep > 0:
                dimension = move // 2
                if move % 2 == 0:
                    trial[dimension] = trial[dimension] * (1.0 + step) + 0.02 * step
                else:
                    trial[dimension] = max(
                        0.0, trial[dimension] * (1.0 - step) - 0.005 * step
                    )
            value = trial.sum()
            for item in range(num_types):
                if supply[item] <= 0:
                    continue
                weight = 0.0
                for dimension in range(num_dimensions):
                    weight += trial[dimension] * relative[item, dimension]
                if duals[item] > weight:
                    value += supply[item] * (duals[item] - weight)
            if value < lowest - 1e-12:
                lowest = value
                best = trial
                improved = True
        if not improved or sweep > 0:
            step *= 0.6
    if best.sum() <= 0:
        best[:] = 1.0 / num_dimensions
    return best


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
def _exceeds(sizes, duals, weights, supply, start, free, room, needed):
    # Whether the fractional knapsack over items from ``start`` is worth more
    # than ``needed``.
    value = 0.0
    for item in range(start, len(duals)):
        if supply[item] == 0 or not _fits(sizes, item, free):
            continue
        weight = weights[item] * supply[item]
        if weight <= room:
            room -= weight
            value += duals[item] * supply[item]
        else:
            value += duals[item] * room / weights[item]
            return value > needed
        if value > needed:
            return True
    return value > needed


@kernel
def knapsack_tables(
    sizes, capacities, duals, weights, total_room, supply, grids, tables
):
    """Fill ``tables`` with single-constraint bounds.

    Entry [c, k, r] is the most that items from k on can be worth within r of the
    ``grids[c]`` parts of constraint c: each dimension alone, and the surrogate
    last. Sizes are rounded down to the grid, so the entries are upper bounds.
    """
    num_constraints = len(grids)
    num_items = len(duals)
    tables[:, num_items, :] = 0.0
    for constraint in range(num_constraints):
        grid = grids[constraint]
        for item in range(num_items - 1, -1, -1):
            if constraint < num_constraints - 1:
                share = sizes[item, constraint] / capacities[constraint]
            else:
                share = weights[item] / total_room
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
def _within_tables(tables, grids, capacities, total_room, at, free, room, needed):
    # Whether every single-constraint bound leaves more than ``needed``.
    num_constraints = len(grids)
    for constraint in range(num_constraints):
        if constraint < num_constraints - 1:
            share = free[constraint] / capacities[constraint]
        else:
            share = room / total_room
        cell = min(grids[constraint], int(share * grids[constraint] + 1e-6))
        if tables[constraint, at, cell] <= needed:
            return False
    return True


@kernel
def search(
    sizes,
    capacities,
    duals,
    weights,
    total_room,
    supply,
    threshold,
    node_limit,
    patience,
    grids,
    tables,
    out,
):
    """Find the most valuable filling; return (recorded, value, complete)."""
    num_items, num_dimensions = sizes.shape
    free = capacities.copy()
    room = total_room
    counts = np.zeros(num_items, dtype=np.int64)
    best, value = threshold, 0.0
    recorded, nodes, at = 0, 0, 0
    while True:
        nodes += 1
        if nodes > node_limit or (recorded > 0 and nodes > patience):
            return recorded, best, False
        needed = best + 1e-9 - value
        go_on = at < num_items
        if go_on and len(grids) > 0:
            go_on = _within_tables(
                tables, grids, capacities, total_room, at, free, room, needed
            )
        if go_on:
            go_on = _exceeds(
                sizes, duals, weights, supply, at, free, room + 1e-9, needed
            )
        if go_on:
            # Take as many as fit of the next item that fits at all.
            while at < num_items:
                copies = _copies(sizes, at, free, supply[at])
                if copies > 0:
                    counts[at] = copies
                    for dimension in range(num_dimensions):
                        free[dimension] -= copies * sizes[at, dimension]
                    room -= copies * weights[at]
                    value += copies * duals[at]
                    at += 1
                    break
                at += 1
            if value > best + 1e-9:
                best = value
                out[recorded % len(out), :] = counts
                recorded += 1
            continue
        at -= 1
        while at >= 0 and counts[at] == 0:
            at -= 1
        if at < 0:
            return recorded, best, True
        counts[at] -= 1
        for dimension in range(num_dimensions):
            free[dimension] += sizes[at, dimension]
        room += weights[at]
        value -= duals[at]
        at += 1


@kernel
def search_disjoint(
    sizes,
    capacities,
    duals,
    weights,
    total_room,
    supply,
    threshold,
    node_limit,
    grids,
    tables,
    out,
):
    """Find fillings one after the other, each from what is left."""
    left = supply.copy()
    one = np.zeros((1, len(duals)), dtype=np.int64)
    found = 0
    while found < len(out):
        # Tables for the whole supply still bound what a part of it can give.
        recorded, _, _ = search(
            sizes,
            capacities,
            duals,
            weights,
            total_room,
            left,
            threshold,
            node_limit,
            node_limit,
            grids,
            tables,
            one,
        )
        if recorded == 0:
            break
        # Take the filling as often as the supply allows; one column is enough.
        repeats = 1 << 62
        for item in range(len(duals)):
            if one[0, item] > 0:
                repeats = min(repeats, left[item] // one[0, item])
        for item in range(len(duals)):
            left[item] -= repeats * one[0, item]
        out[found, :] = one[0]
        found += 1
    return found


@kernel
def enumerate_maximal(
    sizes,
    capacities,
    duals,
    weights,
    total_room,
    supply,
    threshold,
    node_limit,
    grids,
    tables,
    out,
):
    """List the maximal fillings above the threshold; -1 if too many."""
    num_items, num_dimensions = sizes.shape
    free = capacities.copy()
    room = total_room
    counts = np.zeros(num_items, dtype=np.int64)
    value = 0.0
    found, nodes, at = 0, 0, 0
    while True:
        nodes += 1
        if nodes > node_limit:
            return -1
        if at < num_items:
            needed = threshold - value
            if needed <= 0 or (
                _within_tables(
                    tables, grids, capacities, total_room, at, free, room, needed - 1e-9
                )
                and _exceeds(
                    sizes, duals, weights, supply, at, free, room + 1e-9, needed - 1e-9
                )
            ):
                while at < num_items:
                    copies = _copies(sizes, at, free, supply[at])
                    if copies > 0:
                        counts[at] = copies
                        for dimension in range(num_dimensions):
                            free[dimension] -= copies * sizes[at, dimension]
                        room -= copies * weights[at]
                        value += copies * duals[at]
                        at += 1
                        break
                    at += 1
                continue
        elif value >= threshold:
            maximal = True
            for item in range(num_items):
                if counts[item] < supply[item] and _fits(sizes, item, free):
                    maximal = False
                    break
            if maximal:
                if found == len(out):
                    return -1
                for item in range(num_items):
                    out[found, item] = counts[item]
                found += 1
        at -= 1
        while at >= 0 and counts[at] == 0:
            at -= 1
        if at < 0:
            return found
        counts[at] -= 1
        for dimension in range(num_dimensions):
            free[dimension] += sizes[at, dimension]
        room += weights[at]
        value -= duals[at]
        at += 1
