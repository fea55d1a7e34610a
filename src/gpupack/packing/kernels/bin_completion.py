"""Fills bins with little waste, and the last ones exactly (see ``bin_completion``).

Items are rows of ``sizes``. Its first ``num_hard`` columns are dimensions that
must not overflow; a further column guides the search by the items' values.
"""

import numpy as np

from gpupack.packing.kernels.compile import kernel
from gpupack.packing.kernels.frugal_fillings import add, fits, list_masks

MAX_TAIL = 64
"""Items that the bits of one word can tell apart."""
FILLINGS_PER_NODE = 256
CELLS_PER_FILLING = 12
"""Size of the stack of filling lists in ``_cover``."""


@kernel
def _uniform(state):
    word = state[0]
    word ^= word << np.uint64(13)
    word ^= word >> np.uint64(7)
    word ^= word << np.uint64(17)
    state[0] = word
    return (word >> np.uint64(11)) * (1.0 / 9007199254740992.0)


# Loops instead of array expressions and numpy's sort: they compile in a tenth of
# the time.


@kernel
def _sort(keys, items, count):
    """Sort the first items by rising keys, in place (shell sort)."""
    gap = 1
    while 3 * gap + 1 < count:
        gap = 3 * gap + 1
    while gap > 0:
        for at in range(gap, count):
            key, item, to = keys[at], items[at], at
            while to >= gap and keys[to - gap] > key:
                keys[to], items[to] = keys[to - gap], items[to - gap]
                to -= gap
            keys[to], items[to] = key, item
        gap //= 3


@kernel
def _fill(
    sizes,
    num_hard,
    type_of,
    order,
    num_left,
    capacities,
    budget,
    weights,
    accept,
    node_limit,
    chosen,
    best,
):
    """Find a cheap filling with the first item of ``order``; return its length."""
    free = capacities.copy()
    add(free, sizes, order[0], -1)
    chosen[0] = 0
    depth, at, nodes, length = 1, 1, 0, 0
    lowest = np.inf
    while True:
        nodes += 1
        while at < num_left and not fits(sizes, order[at], free, num_hard):
            at += 1
        if at < num_left:
            chosen[depth] = at
            depth += 1
            add(free, sizes, order[at], -1)
            at += 1
            continue
        cost = 0.0
        for column in range(len(free)):
            cost += weights[column] * max(free[column], 0)
            if free[column] > budget[column]:
                cost += 1e3 * weights[column] * (free[column] - budget[column])
        if cost < lowest:
            lowest, length = cost, depth
            for number in range(depth):
                best[number] = chosen[number]
        if lowest <= accept or nodes > node_limit or depth == 1:
            return length
        depth -= 1
        at = chosen[depth]
        add(free, sizes, order[at], 1)
        # Another copy of the same type would only repeat what was tried.
        kind = type_of[order[at]]
        at += 1
        while at < num_left and type_of[order[at]] == kind:
            at += 1


@kernel
def _rarest(masks, fillings, start, end, left, counts):
    """Return the item of ``left`` in the fewest fillings, and in how many."""
    for item in range(MAX_TAIL):
        counts[item] = 0
    for at in range(start, end):
        mask, item = masks[fillings[at]], 0
        while mask != 0:
            if mask & np.uint64(1):
                counts[item] += 1
            mask >>= np.uint64(1)
            item += 1
    rarest, fewest = -1, 1 << 60
    for item in range(MAX_TAIL):
        if (left >> np.uint64(item)) & np.uint64(1) and counts[item] < fewest:
            rarest, fewest = item, counts[item]
    return rarest, fewest


@kernel
def _cover(masks, wastes, num_fillings, num_items, budget, node_limit, fillings, out):
    """Partition the items into at most ``len(out)`` fillings, by backtracking.

    Returns:
        How many fillings (0: there is no partition, -1: cut), and nodes.
    """
    num_levels = len(out) + 2
    starts = np.zeros(num_levels, dtype=np.int64)
    ends = np.zeros(num_levels, dtype=np.int64)
    next_at = np.zeros(num_levels, dtype=np.int64)
    bits = np.zeros(num_levels, dtype=np.uint64)
    lefts = np.zeros(num_levels, dtype=np.uint64)
    budgets = np.zeros((num_levels, len(budget)), dtype=np.int64)
    counts = np.zeros(MAX_TAIL, dtype=np.int64)
    for item in range(num_items):
        lefts[0] |= np.uint64(1) << np.uint64(item)
    for filling in range(num_fillings):
        fillings[filling] = filling
    ends[0] = num_fillings
    for column in range(len(budget)):
        budgets[0, column] = budget[column]
    depth, nodes, is_new = 0, 0, True
    while True:
        end = ends[depth]
        if is_new:
            # A node costs as much as it has fillings to look at.
            nodes += 1 + (end - starts[depth]) // FILLINGS_PER_NODE
            if lefts[depth] == 0:
                return depth, nodes
            if nodes > node_limit:
                return -1, nodes
            rarest, fewest = _rarest(
                masks, fillings, starts[depth], end, lefts[depth], counts
            )
            bits[depth] = np.uint64(1) << np.uint64(rarest)
            next_at[depth] = starts[depth] if fewest > 0 else end
            is_new = False
        at = next_at[depth]
        while at < end and masks[fillings[at]] & bits[depth] == 0:
            at += 1
        if at >= end or depth == len(out):
            depth -= 1
            if depth < 0:
                return 0, nodes
            continue
        next_at[depth] = at + 1
        filling = fillings[at]
        out[depth] = filling
        if 2 * end - starts[depth] > len(fillings):
            return -1, nodes
        for column in range(len(budget)):
            budgets[depth + 1, column] = (
                budgets[depth, column] - wastes[filling, column]
            )
        lefts[depth + 1] = lefts[depth] & ~masks[filling]
        kept = end
        for other_at in range(starts[depth], end):
            other = fillings[other_at]
            if masks[other] & masks[filling] != 0:
                continue
            is_frugal = True
            for column in range(len(budget)):
                if wastes[other, column] > budgets[depth + 1, column]:
                    is_frugal = False
                    break
            if is_frugal:
                fillings[kept] = other
                kept += 1
        depth += 1
        starts[depth], ends[depth] = end, kept
        is_new = True


@kernel
def complete(
    sizes,
    num_hard,
    type_of,
    scores,
    capacities,
    num_bins,
    noise,
    thrift,
    fill_nodes,
    max_fillings,
    cover_nodes,
    state,
    bin_of,
):
    """Try once to pack all items into ``num_bins``; True if ``bin_of`` is a packing.

    Bins are filled one by one, the largest item left first, each with a cost of
    at most ``thrift`` times its share of the waste that is left to spend. Once
    the fillings of the items left can be listed, they are searched exactly.
    """
    num_left = len(sizes)
    num_columns = len(capacities)
    budget = np.empty(num_columns, dtype=np.int64)
    for column in range(num_columns):
        budget[column] = num_bins * capacities[column]
    for item in range(num_left):
        add(budget, sizes, item, -1)
    num_types = type_of[num_left - 1] + 1
    noises = np.empty(num_types)
    weights = np.empty(num_columns)
    keys = np.empty(num_left)
    left = np.empty(num_left, dtype=np.int64)
    order = np.empty(num_left, dtype=np.int64)
    for item in range(num_left):
        left[item] = item
    chosen = np.zeros(num_left + 1, dtype=np.int64)
    best = np.zeros(num_left + 1, dtype=np.int64)
    masks = np.zeros(max_fillings, dtype=np.uint64)
    wastes = np.zeros((max_fillings, num_columns), dtype=np.int64)
    fillings = np.zeros(CELLS_PER_FILLING * max_fillings, dtype=np.int64)
    picked = np.zeros(num_bins, dtype=np.int64)
    filled, next_listing = 0, MAX_TAIL
    while num_left > 0 and filled < num_bins:
        bins_left = num_bins - filled
        if num_left <= next_listing:
            # If there are too many now, one bin fewer will hardly change that.
            next_listing = num_left - num_left // 8 - 1
            found = list_masks(
                sizes, num_hard, left, num_left, capacities, budget, masks, wastes
            )
            if found >= 0:
                used, _ = _cover(
                    masks,
                    wastes,
                    found,
                    num_left,
                    budget,
                    cover_nodes,
                    fillings,
                    picked[:bins_left],
                )
                for number in range(used):
                    mask = masks[picked[number]]
                    for at in range(num_left):
                        if (mask >> np.uint64(at)) & np.uint64(1):
                            bin_of[left[at]] = filled + number
                return used > 0
        share = 0.0
        for column in range(num_columns):
            weights[column] = 1.0 / (budget[column] + 0.02 * capacities[column])
            share += weights[column] * budget[column] / bins_left
        for kind in range(num_types):
            noises[kind] = 1.0 + noise * (_uniform(state) - 0.5)
        largest = 0
        for at in range(num_left):
            item = left[at]
            keys[at] = -scores[item] * noises[type_of[item]]
            order[at] = item
        _sort(keys, order, num_left)
        for at in range(num_left):
            if scores[order[at]] > scores[order[largest]]:
                largest = at
        seed = order[largest]
        for at in range(largest, 0, -1):
            order[at] = order[at - 1]
        order[0] = seed
        length = _fill(
            sizes,
            num_hard,
            type_of,
            order,
            num_left,
            capacities,
            budget,
            weights,
            thrift * share,
            fill_nodes,
            chosen,
            best,
        )
        for column in range(num_columns):
            budget[column] -= capacities[column]
        for number in range(length):
            item = order[best[number]]
            bin_of[item] = filled
            add(budget, sizes, item, 1)
            order[best[number]] = -1
        filled += 1
        kept = 0
        for at in range(num_left):
            if order[at] >= 0:
                left[kept] = order[at]
                kept += 1
        num_left = kept
        for column in range(num_columns):
            if budget[column] < 0:
                return False
    return num_left == 0
