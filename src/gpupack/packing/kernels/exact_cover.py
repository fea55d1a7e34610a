"""Exact cover: listed fillings that hold each of the last items once."""

import numpy as np

from gpupack.packing.kernels.compile import kernel

MAX_ITEMS = 128
"""Items that the bits of two words can tell apart."""
CELLS_PER_FILLING = 24
"""Size of the stack of filling lists."""
ONE = np.uint64(1)


@kernel
def _bit(item, word):
    """Return the bit of an item in the first (0) or second (1) word."""
    if item // 64 != word:
        return np.uint64(0)
    return ONE << np.uint64(item % 64)


@kernel
def _scarcest(members, lengths, shares, listed, start, end, lefts, counts, cheapest):
    """Return the item left in the fewest fillings, in how many, and what all cost.

    An item costs at least its share of the cheapest filling that it is in.
    """
    for item in range(len(counts)):
        counts[item] = 0
        cheapest[item] = np.inf
    for at in range(start, end):
        filling = listed[at]
        share = shares[filling]
        for number in range(lengths[filling]):
            item = members[filling, number]
            counts[item] += 1
            cheapest[item] = min(cheapest[item], share)
    scarcest, fewest, cost = -1, 1 << 60, 0.0
    for item in range(len(counts)):
        if lefts[item // 64] & _bit(item, item // 64):
            cost += cheapest[item]
            if counts[item] < fewest:
                scarcest, fewest = item, counts[item]
    return scarcest, fewest, cost


@kernel
def cover(members, lengths, wastes, num_items, budget, node_limit, out, stop):
    """Partition the items into at most ``len(out)`` fillings, by backtracking.

    The item in the fewest fillings is decided next, by the fillings in their
    order; those that waste more than is left of the budget are struck out, and a
    branch is left whose items cannot but waste more.

    Returns:
        How many fillings (0: there is no partition, -1: cut).
    """
    num_fillings, num_columns = wastes.shape
    words = np.zeros((num_fillings, 2), dtype=np.uint64)
    shares = np.zeros(num_fillings)
    for filling in range(num_fillings):
        for number in range(lengths[filling]):
            item = members[filling, number]
            words[filling, item // 64] |= _bit(item, item // 64)
        for column in range(num_columns):
            shares[filling] += wastes[filling, column] / (budget[column] + 0.5)
        shares[filling] /= lengths[filling]
    num_levels = len(out) + 2
    starts = np.zeros(num_levels, dtype=np.int64)
    ends = np.zeros(num_levels, dtype=np.int64)
    next_at = np.zeros(num_levels, dtype=np.int64)
    decided = np.zeros(num_levels, dtype=np.int64)
    lefts = np.zeros((num_levels, 2), dtype=np.uint64)
    budgets = np.zeros((num_levels, num_columns), dtype=np.int64)
    counts = np.zeros(num_items, dtype=np.int64)
    cheapest = np.zeros(num_items)
    listed = np.zeros(CELLS_PER_FILLING * num_fillings, dtype=np.int64)
    for item in range(num_items):
        lefts[0, item // 64] |= _bit(item, item // 64)
    for column in range(num_columns):
        budgets[0, column] = budget[column]
    for filling in range(num_fillings):
        listed[filling] = filling
    ends[0] = num_fillings
    depth, nodes, is_new = 0, 0, True
    while True:
        start, end = starts[depth], ends[depth]
        if is_new:
            is_new = False
            nodes += 1
            if lefts[depth, 0] == 0 and lefts[depth, 1] == 0:
                return depth
            if nodes > node_limit or stop[0] != 0:
                return -1
            item, fewest, cost = _scarcest(
                members,
                lengths,
                shares,
                listed,
                start,
                end,
                lefts[depth],
                counts,
                cheapest,
            )
            affordable = 1e-9
            for column in range(num_columns):
                affordable += budgets[depth, column] / (budget[column] + 0.5)
            decided[depth] = item
            next_at[depth] = start if fewest > 0 and cost <= affordable else end
        item = decided[depth]
        word, bit = item // 64, _bit(item, item // 64)
        at = next_at[depth]
        while at < end and words[listed[at], word] & bit == 0:
            at += 1
        if at >= end or depth == len(out):
            depth -= 1
            if depth < 0:
                return 0
            continue
        next_at[depth] = at + 1
        filling = listed[at]
        out[depth] = filling
        if 2 * end - start > len(listed):
            return -1
        first, second = words[filling, 0], words[filling, 1]
        lefts[depth + 1, 0] = lefts[depth, 0] & ~first
        lefts[depth + 1, 1] = lefts[depth, 1] & ~second
        for column in range(num_columns):
            budgets[depth + 1, column] = (
                budgets[depth, column] - wastes[filling, column]
            )
        kept = end
        for other_at in range(start, end):
            other = listed[other_at]
            if (words[other, 0] & first) | (words[other, 1] & second):
                continue
            is_frugal = True
            for column in range(num_columns):
                if wastes[other, column] > budgets[depth + 1, column]:
                    is_frugal = False
                    break
            if is_frugal:
                listed[kept] = other
                kept += 1
        depth += 1
        starts[depth], ends[depth] = end, kept
        is_new = True
