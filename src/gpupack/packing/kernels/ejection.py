"""Guided ejection search over items in bins (see ``ejection``)."""

import numpy as np

from gpupack.packing.kernels.compile import kernel


@kernel
def _next_random(state):
    # xorshift64*: the state is an array of one unsigned integer.
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return (x * np.uint64(2685821657736338717)) >> np.uint64(33)


@kernel
def _random_below(state, limit):
    return np.int64(_next_random(state) % np.uint64(limit))


@kernel
def _remove(item, sizes, bin_of, slot_of, members, num_members, free):
    one_bin = bin_of[item]
    last = members[one_bin, num_members[one_bin] - 1]
    members[one_bin, slot_of[item]] = last
    slot_of[last] = slot_of[item]
    num_members[one_bin] -= 1
    bin_of[item] = -1
    for dimension in range(sizes.shape[1]):
        free[one_bin, dimension] += sizes[item, dimension]


@kernel
def _insert(item, one_bin, sizes, bin_of, slot_of, members, num_members, free):
    bin_of[item] = one_bin
    slot_of[item] = num_members[one_bin]
    members[one_bin, num_members[one_bin]] = item
    num_members[one_bin] += 1
    for dimension in range(sizes.shape[1]):
        free[one_bin, dimension] -= sizes[item, dimension]


@kernel
def _perturb(
    sizes, bin_of, slot_of, members, num_members, free, state, moves, num_bins
):
    num_items, num_dimensions = sizes.shape
    for _ in range(moves):
        first = _random_below(state, num_items)
        source = bin_of[first]
        if source < 0:
            continue
        second = _random_below(state, num_items)
        target = bin_of[second]
        if target < 0 or target == source:
            continue
        feasible = num_members[target] < members.shape[1]
        for dimension in range(num_dimensions):
            if sizes[first, dimension] > free[target, dimension]:
                feasible = False
                break
        if feasible:
            _remove(first, sizes, bin_of, slot_of, members, num_members, free)
            _insert(first, target, sizes, bin_of, slot_of, members, num_members, free)
            continue
        feasible = True
        for dimension in range(num_dimensions):
            change = sizes[first, dimension] - sizes[second, dimension]
            if change > free[target, dimension] or -change > free[source, dimension]:
                feasible = False
                break
        if feasible:
            _remove(first, sizes, bin_of, slot_of, members, num_members, free)
            _remove(second, sizes, bin_of, slot_of, members, num_members, free)
            _insert(first, target, sizes, bin_of, slot_of, members, num_members, free)
            _insert(second, source, sizes, bin_of, slot_of, members, num_members, free)


@kernel
def eject(
    sizes,
    bin_of,
    slot_of,
    members,
    num_members,
    free,
    pool,
    num_pooled,
    penalties,
    state,
    rounds,
    moves,
):
    """Insert pooled items, ejecting the least penalized, until none is left.

    Returns the number of items still in the pool after ``rounds``.
    """
    num_bins, num_dimensions = free.shape
    excess = np.empty(num_dimensions, dtype=np.int64)
    for _ in range(rounds):
        if num_pooled == 0:
            return 0
        item = pool[num_pooled - 1]
        # A random bin with room.
        chosen, seen = -1, 0
        for one_bin in range(num_bins):
            fits = num_members[one_bin] < members.shape[1]
            for dimension in range(num_dimensions):
                if sizes[item, dimension] > free[one_bin, dimension]:
                    fits = False
                    break
            if fits:
                seen += 1
                if _random_below(state, seen) == 0:
                    chosen = one_bin
        if chosen >= 0:
            _insert(item, chosen, sizes, bin_of, slot_of, members, num_members, free)
            num_pooled -= 1
            continue
        penalties[item] += 1
        best, seen = penalties[item], 0
        chosen, first_out, second_out = -1, -1, -1
        for one_bin in range(num_bins):
            for dimension in range(num_dimensions):
                excess[dimension] = sizes[item, dimension] - free[one_bin, dimension]
            for one in range(num_members[one_bin]):
                first = members[one_bin, one]
                if penalties[first] > best:
                    continue
                enough = True
                for dimension in range(num_dimensions):
                    if sizes[first, dimension] < excess[dimension]:
                        enough = False
                        break
                if enough:
                    cost = penalties[first]
                    if cost < best:
                        best, seen = cost, 0
                    if cost == best and best < penalties[item]:
                        seen += 1
                        if _random_below(state, seen) == 0:
                            chosen, first_out, second_out = one_bin, first, -1
                    continue
                for two in range(one + 1, num_members[one_bin]):
                    second = members[one_bin, two]
                    cost = penalties[first] + penalties[second]
                    if cost > best:
                        continue
                    enough = True
                    for dimension in range(num_dimensions):
                        if (
                            sizes[first, dimension] + sizes[second, dimension]
                            < excess[dimension]
                        ):
                            enough = False
                            break
                    if enough:
                        if cost < best:
                            best, seen = cost, 0
                        if cost == best and best < penalties[item]:
                            seen += 1
                            if _random_below(state, seen) == 0:
                                chosen = one_bin
                                first_out, second_out = first, second
        if chosen >= 0:
            num_pooled -= 1
            _remove(first_out, sizes, bin_of, slot_of, members, num_members, free)
            pool[num_pooled] = first_out
            num_pooled += 1
            if second_out >= 0:
                _remove(second_out, sizes, bin_of, slot_of, members, num_members, free)
                pool[num_pooled] = second_out
                num_pooled += 1
            _insert(item, chosen, sizes, bin_of, slot_of, members, num_members, free)
        else:
            # Let another pooled item try first.
            other = _random_below(state, num_pooled)
            pool[num_pooled - 1], pool[other] = pool[other], pool[num_pooled - 1]
        _perturb(
            sizes, bin_of, slot_of, members, num_members, free, state, moves, num_bins
        )
    return num_pooled
