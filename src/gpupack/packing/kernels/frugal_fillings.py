"""Lists fillings that waste little (see ``frugal_fillings``)."""

import numpy as np

from gpupack.packing.kernels.compile import kernel


@kernel
def fits(sizes, item, free, num_hard):
    """Whether the item fits into what is free of the dimensions."""
    for dimension in range(num_hard):
        if sizes[item, dimension] > free[dimension]:
            return False
    return True


@kernel
def add(totals, sizes, item, sign):
    """Add the item's sizes to the totals, or take them away (sign -1)."""
    for column in range(len(totals)):
        totals[column] += sign * sizes[item, column]


@kernel
def list_masks(sizes, num_hard, items, num_items, capacities, budget, masks, wastes):
    """List all fillings that waste at most ``budget``; -1 if too many."""
    num_columns = len(capacities)
    rest = np.zeros((num_items + 1, num_columns), dtype=np.int64)
    for at in range(num_items - 1, -1, -1):
        for column in range(num_columns):
            rest[at, column] = rest[at + 1, column] + sizes[items[at], column]
    chosen = np.zeros(num_items + 1, dtype=np.int64)
    free = capacities.copy()
    mask = np.uint64(0)
    depth, at, found, nodes = 0, 0, 0, 0
    while True:
        nodes += 1
        if nodes > 20 * len(masks):
            return -1
        while at < num_items and not fits(sizes, items[at], free, num_hard):
            at += 1
        for column in range(num_columns):
            if free[column] - rest[at, column] > budget[column]:
                at = num_items
                break
        if at < num_items:
            chosen[depth] = at
            depth += 1
            mask |= np.uint64(1) << np.uint64(at)
            is_frugal = True
            for column in range(num_columns):
                free[column] -= sizes[items[at], column]
                if free[column] > budget[column]:
                    is_frugal = False
            if is_frugal:
                if found == len(masks):
                    return -1
                masks[found] = mask
                for column in range(num_columns):
                    wastes[found, column] = free[column]
                found += 1
            at += 1
            continue
        if depth == 0:
            return found
        depth -= 1
        at = chosen[depth]
        mask &= ~(np.uint64(1) << np.uint64(at))
        add(free, sizes, items[at], 1)
        at += 1


@kernel
def _can_fill(sizes, rest, least, at, free, budget):
    """Whether items from ``at`` on may leave at most ``budget`` of ``free``."""
    most = len(sizes) - at
    for column in range(len(free)):
        if free[column] - rest[at, column] > budget[column]:
            return False
        if least[at, column] > 0:
            most = min(most, free[column] // least[at, column])
    # The first column falls from item to item, so its next entry is the largest.
    return most > 0 and free[0] - most * sizes[at, 0] <= budget[0]


@kernel
def list_frugal(sizes, type_of, capacities, budget, node_limit, members, lengths):
    """List all fillings that waste at most ``budget``; -1 if too many to list.

    The first column of ``sizes`` must fall.
    """
    num_items, num_columns = sizes.shape
    longest = members.shape[1]
    rest = np.zeros((num_items + 1, num_columns), dtype=np.int64)
    least = np.empty((num_items + 1, num_columns), dtype=np.int64)
    for column in range(num_columns):
        least[num_items, column] = capacities[column] + 1
        for at in range(num_items - 1, -1, -1):
            rest[at, column] = rest[at + 1, column] + sizes[at, column]
            least[at, column] = min(least[at + 1, column], sizes[at, column])
    chosen = np.zeros(longest + 1, dtype=np.int64)
    free = capacities.copy()
    depth, at, found, nodes = 0, 0, 0, 0
    while True:
        nodes += 1
        if nodes > node_limit:
            return -1
        # The first item that fits in the first column, by bisection.
        low, high = at, num_items
        while low < high:
            middle = (low + high) // 2
            if sizes[middle, 0] > free[0]:
                low = middle + 1
            else:
                high = middle
        at = low
        while (
            at < num_items
            and _can_fill(sizes, rest, least, at, free, budget)
            and not fits(sizes, at, free, num_columns)
        ):
            at += 1
            nodes += 1
        if at < num_items and _can_fill(sizes, rest, least, at, free, budget):
            if depth == longest:
                return -1
            chosen[depth] = at
            depth += 1
            add(free, sizes, at, -1)
            is_frugal = True
            for column in range(num_columns):
                if free[column] > budget[column]:
                    is_frugal = False
            if is_frugal:
                if found == len(lengths):
                    return -1
                for number in range(depth):
                    members[found, number] = chosen[number]
                lengths[found] = depth
                found += 1
            at += 1
            continue
        if depth == 0:
            return found
        depth -= 1
        at = chosen[depth]
        add(free, sizes, at, 1)
        kind = type_of[at]
        while at < num_items and type_of[at] == kind:
            at += 1


@kernel
def list_short(sizes, capacities, limit, longest, node_limit, members, lengths, stop):
    """List fillings of 2 to ``longest`` items that waste at most ``limit``.

    The first column of ``sizes`` must fall: the last item of a filling is looked
    up in it.

    Returns:
        How many; -1 if the search was cut.
    """
    num_items, num_columns = sizes.shape
    chosen = np.zeros(longest, dtype=np.int64)
    free = capacities.copy()
    depth, at, found, nodes = 0, 0, 0, 0
    while True:
        while at < num_items and not fits(sizes, at, free, num_columns):
            at += 1
        if at == num_items or depth == longest - 1:
            if depth == 0:
                return found
            depth -= 1
            at = chosen[depth]
            add(free, sizes, at, 1)
            at += 1
            continue
        nodes += 1
        if nodes > node_limit or (nodes % 1000 == 0 and stop[0] != 0):
            return -1
        chosen[depth] = at
        depth += 1
        add(free, sizes, at, -1)
        low, high = at + 1, num_items
        while low < high:
            middle = (low + high) // 2
            if sizes[middle, 0] > free[0]:
                low = middle + 1
            else:
                high = middle
        while low < num_items and sizes[low, 0] >= free[0] - limit[0]:
            is_frugal = True
            for column in range(num_columns):
                waste = free[column] - sizes[low, column]
                if waste < 0 or waste > limit[column]:
                    is_frugal = False
                    break
            if is_frugal:
                if found == len(lengths):
                    return -1
                for number in range(depth):
                    members[found, number] = chosen[number]
                members[found, depth] = low
                lengths[found] = depth + 1
                found += 1
            low += 1
        at += 1
