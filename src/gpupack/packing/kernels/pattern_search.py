"""Search for the most valuable pattern of one bin (see ``capacity.pricing``)."""

import numpy as np

from gpupack.packing.kernels.compile import kernel
from gpupack.packing.kernels.pattern_bounds import (
    lagrangian_bound,
    look_ahead,
    lowest_bound,
    new_state,
    table_bound,
)

OPEN_STEPS = 5
CLOSING_STEPS = 8
"""Subgradient steps at a node, and where all copies are decided."""
NODES_PER_LOOK = 256
MAX_PIVOTS = 400


@kernel
def _best_loads(market, state, loads, prices):
    """Set the best loads of the copies that are there, by the simplex method.

    Returns what they are worth, and sets the prices of room that prove it, as far as
    rounding allows.
    """
    num_dimensions = len(prices)
    num_options = len(market.share)
    columns = np.empty(num_options, np.int64)
    num_columns, num_jobs = 0, 0
    last_job = -1
    for index in range(num_options):
        if state.counts[index] > 0 and not market.whole[index]:
            columns[num_columns] = index
            num_columns += 1
            if market.job[index] != last_job:
                last_job = market.job[index]
                num_jobs += 1
    num_rows = num_dimensions + num_jobs + num_columns
    width = num_columns + num_rows
    table = np.zeros((num_rows + 1, width + 1))
    basis = np.empty(num_rows, np.int64)
    for row in range(num_rows):
        basis[row] = num_columns + row
        table[row, num_columns + row] = 1.0
        table[row, width] = 1.0
    for dimension in range(num_dimensions):
        table[dimension, width] = max(0.0, state.room[dimension])
    row = num_dimensions - 1
    last_job = -1
    for column in range(num_columns):
        index = columns[column]
        if market.job[index] != last_job:
            last_job = market.job[index]
            row += 1
        table[row, column] = market.share[index]
        for dimension in range(num_dimensions):
            table[dimension, column] = market.loaded[index, dimension]
        own = num_dimensions + num_jobs + column
        table[own, column] = 1.0
        table[own, width] = float(state.counts[index])
        table[num_rows, column] = -market.per_load[index]
    for pivot in range(MAX_PIVOTS):
        enter = -1
        for column in range(width):
            if table[num_rows, column] < -1e-11 and (
                enter < 0
                or (
                    pivot < MAX_PIVOTS // 2
                    and table[num_rows, column] < table[num_rows, enter]
                )
            ):
                enter = column
        if enter < 0:
            break
        leave = -1
        ratio = np.inf
        for row in range(num_rows):
            if table[row, enter] > 1e-11:
                one = table[row, width] / table[row, enter]
                if one < ratio or (one == ratio and basis[row] < basis[leave]):
                    leave, ratio = row, one
        if leave < 0:
            break
        basis[leave] = enter
        table[leave] /= table[leave, enter]
        for row in range(num_rows + 1):
            if row != leave and table[row, enter] != 0:
                table[row] -= table[row, enter] * table[leave]
    loads[:] = 0.0
    value = 0.0
    for row in range(num_rows):
        if basis[row] < num_columns:
            index = columns[basis[row]]
            loads[index] = min(max(0.0, table[row, width]), float(state.counts[index]))
            value += loads[index] * market.per_load[index]
    for dimension in range(num_dimensions):
        prices[dimension] = max(0.0, table[num_rows, num_columns + dimension])
    for job in range(len(market.bonus)):
        value += market.bonus[job] * min(state.held[job], market.wanted[job])
        for index in range(market.first[job], market.first[job + 1]):
            value += market.per_copy[index] * state.counts[index]
            if market.whole[index]:
                loads[index] = float(state.counts[index])
    return value


@kernel
def _change(market, state, index, number):
    # Hold so many more copies, or fewer.
    state.counts[index] += number
    state.held[market.job[index]] += number
    for dimension in range(len(state.free)):
        state.free[dimension] -= number * market.sizes[index, dimension]
    for dimension in range(len(state.room)):
        state.room[dimension] -= number * market.fixed[index, dimension]


@kernel
def search(
    market,
    root,
    table_prices,
    tables,
    dimension,
    threshold,
    gap,
    node_limit,
    out_counts,
    out_loads,
    stop,
):
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
    state = new_state(market)
    num_options = len(market.share)
    num_dimensions = len(root)
    slope, trial = np.empty(num_dimensions), np.empty(num_dimensions)
    prices = np.empty((num_options + 2, num_dimensions))
    prices[0] = root
    closing = root.copy()
    loads = np.empty(num_options)
    closed = np.zeros(num_options + 2)
    best = threshold
    enough = threshold + gap * abs(threshold)
    loosest = 0.0
    recorded, nodes, at, depth = 0, 0, 0, 0
    while True:
        nodes += 1
        if nodes > node_limit or (nodes % NODES_PER_LOOK == 0 and stop[0] != 0):
            return recorded, best, np.inf
        bound = np.inf
        for table in range(len(tables)):
            bound = min(
                bound,
                table_bound(
                    market, state, at, table_prices[table], tables[table], dimension
                ),
            )
            if bound <= enough:
                break
        if bound > enough:
            look_ahead(market, state, at)
            bound = lowest_bound(
                market, state, at, prices[depth], enough, OPEN_STEPS, slope, trial
            )
        if bound > enough:
            while at < num_options and state.copies[at] == 0:
                at += 1
            if at < num_options:
                _change(market, state, at, state.copies[at])
                depth += 1
                prices[depth] = prices[depth - 1]
            else:
                loosest = max(loosest, min(bound, closed[depth]))
        if bound <= enough or at == num_options:
            at -= 1
            while at >= 0 and state.counts[at] == 0:
                at -= 1
            if at < 0:
                return recorded, best, max(enough, loosest)
            _change(market, state, at, -1)
            if state.counts[at] == 0:
                depth -= 1
                at += 1
                continue
            prices[depth] = prices[depth - 1]
        # These copies are new together: what are they worth without any other?
        closing[:] = prices[depth]
        bound = lowest_bound(
            market, state, num_options, closing, enough, CLOSING_STEPS, slope, trial
        )
        if bound > enough:
            value = _best_loads(market, state, loads, trial)
            bound = min(
                bound, lagrangian_bound(market, state, num_options, trial, slope)
            )
            if value > best:
                best = value
                enough = best + gap * abs(best)
                place = recorded % len(out_counts)
                out_counts[place] = state.counts
                out_loads[place] = loads
                recorded += 1
        closed[depth] = bound
        at += 1
