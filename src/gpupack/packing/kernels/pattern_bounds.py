"""Bounds on what a pattern can be worth (see ``capacity.pricing``)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpupack.packing.kernels.compile import kernel

TINY = 1e-12
ROOT_STEPS = 100
"""Of the subgradient, at the root."""
MAX_VAIN = 4
"""Steps in a row without gain after which to stop."""


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


class State(NamedTuple):
    """Copies decided on, what they leave, and what further ones could be.

    ``counts`` of copies by option and ``held`` by job; room left by the copies in full,
    ``free`` in integers and ``room`` in shares; by option how many ``copies`` still
    fit, and how much ``part`` load of them.
    """

    counts: NDArray[np.int64]
    held: NDArray[np.int64]
    free: NDArray[np.int64]
    room: NDArray[np.float64]
    copies: NDArray[np.int64]
    part: NDArray[np.float64]
    is_taken: NDArray[np.bool_]


@kernel
def new_state(market):
    """Return the state of an empty bin."""
    num_options, num_jobs = len(market.share), len(market.bonus)
    return State(
        np.zeros(num_options, np.int64),
        np.zeros(num_jobs, np.int64),
        market.capacity.copy(),
        np.ones(market.fixed.shape[1]),
        np.zeros(num_options, np.int64),
        np.zeros(num_options),
        np.zeros(num_options, np.bool_),
    )


@kernel
def _is_no_worse(market, one, other):
    # Whether an option takes no more room in proportion for the same service.
    for dimension in range(market.loaded.shape[1]):
        if (
            market.loaded[one, dimension] * market.share[other]
            > market.loaded[other, dimension] * market.share[one]
        ):
            return False
    return True


@kernel
def _useful(market, state, index):
    # How many copies of an option are of use beside those that its job holds. None is
    # where those that are no worse serve the whole need; nor may they leave any of
    # those held without use: then the bin without it is searched, too.
    share, counts = market.share, state.counts
    job = market.job[index]
    missing = 0
    if market.bonus[job] > 0:
        missing = max(0, market.wanted[job] - state.held[job])
        if missing > 0:
            return market.most[index]
    begin, end = market.first[job], market.first[job + 1]
    number = market.most[index]
    left = 1.0
    for other in range(begin, end):
        if counts[other] == 0:
            continue
        if _is_no_worse(market, other, index):
            left -= counts[other] * share[other]
        if market.bonus[job] == 0 and _is_no_worse(market, index, other):
            left_for_last = 1.0 + share[other]
            for third in range(begin, end):
                if counts[third] > 0 and _is_no_worse(market, third, other):
                    left_for_last -= counts[third] * share[third]
            number = min(number, int(np.ceil(left_for_last / share[index] - TINY)) - 1)
    if left <= TINY:
        return 0
    return max(0, min(number, int(np.ceil(left / share[index]))))


@kernel
def look_ahead(market, state, start):
    """Set how many copies of each option from ``start`` on fit, and how much load."""
    sizes, fixed, loaded = market.sizes, market.fixed, market.loaded
    most, whole = market.most, market.whole
    free, room, copies, part = state.free, state.room, state.copies, state.part
    for index in range(start, len(copies)):
        job = market.job[index]
        number = min(most[index], market.limit[job] - state.held[job])
        if state.held[job] > 0 and not whole[index]:
            number = min(number, _useful(market, state, index))
        for dimension in range(len(free)):
            size = sizes[index, dimension]
            if size > 0:
                if size > free[dimension]:
                    number = 0
                    break
                if number > 1:
                    number = min(number, free[dimension] // size)
        copies[index] = number
        load = float(number)
        if number > 0 and not whole[index]:
            for dimension in range(len(room)):
                taken = loaded[index, dimension]
                left = max(0.0, room[dimension] - fixed[index, dimension]) + TINY
                if taken * load > left:
                    load = left / taken
        part[index] = load


@kernel
def lagrangian_bound(market, state, start, prices, slope):
    """Return the Lagrangian bound at these prices of room; set its slope in them.

    Every job for itself has the best loads of the copies it holds and, from option
    ``start`` on, of fractions of further ones.
    """
    first, fixed, loaded = market.first, market.fixed, market.loaded
    share, whole = market.share, market.whole
    per_load, per_copy = market.per_load, market.per_copy
    counts, held, room = state.counts, state.held, state.room
    copies, part, is_taken = state.copies, state.part, state.is_taken
    num_dimensions = len(prices)
    total = 0.0
    for dimension in range(num_dimensions):
        total += prices[dimension]
        slope[dimension] = 1.0
    for job in range(len(first) - 1):
        begin, end = first[job], first[job + 1]
        if held[job] == 0 and end <= start:
            continue
        left = 1.0
        for index in range(begin, end):
            number = counts[index]
            if number > 0:
                cost = 0.0
                for dimension in range(num_dimensions):
                    cost += prices[dimension] * fixed[index, dimension]
                    slope[dimension] -= number * fixed[index, dimension]
                total += number * (per_copy[index] - cost)
                if whole[index]:
                    left -= number * share[index]
        gained = 0.0
        alone, gain_alone, load_alone = -1, 0.0, 0.0
        while left > TINY:
            best, best_density, best_amount, copies_per_share = -1, TINY, 0.0, 0.0
            for index in range(begin, end):
                if is_taken[index]:
                    continue
                if counts[index] > 0:
                    if whole[index]:
                        continue
                    rest = per_load[index]
                    load = float(counts[index])
                    for dimension in range(num_dimensions):
                        taken = loaded[index, dimension]
                        rest -= prices[dimension] * taken
                        if taken * load > room[dimension] + TINY:
                            load = (room[dimension] + TINY) / taken
                    density = rest / share[index]
                    amount = load * share[index]
                    each = 0.0
                elif index >= start and copies[index] > 0:
                    gain = per_copy[index]
                    rest = per_load[index]
                    for dimension in range(num_dimensions):
                        gain -= prices[dimension] * fixed[index, dimension]
                        rest -= prices[dimension] * loaded[index, dimension]
                    load = min(1.0, part[index])
                    if load * share[index] > 1.0:
                        load = 1.0 / share[index]
                    if whole[index]:
                        load = 1.0
                    elif rest > 0:
                        gain += rest * load
                    else:
                        load = 0.0
                    if alone < 0 or gain > gain_alone:
                        alone, gain_alone, load_alone = index, gain, load
                    each = load * share[index]
                    if each <= TINY:
                        continue
                    density = gain / each
                    amount = min(copies[index] * load, part[index]) * share[index]
                else:
                    continue
                if density > best_density and amount > TINY:
                    best, best_density, best_amount = index, density, amount
                    copies_per_share = 1.0 / each if each > 0 else 0.0
            if best < 0:
                break
            is_taken[best] = True
            amount = min(best_amount, left)
            left -= amount
            gained += amount * best_density
            for dimension in range(num_dimensions):
                used = copies_per_share * amount * fixed[best, dimension]
                if not whole[best]:
                    used += amount / share[best] * loaded[best, dimension]
                slope[dimension] -= used
        for index in range(begin, end):
            is_taken[index] = False
        total += gained
        bonus = market.bonus[job]
        if bonus > 0:
            wanted = market.wanted[job]
            missing = wanted - min(held[job], wanted)
            total += bonus * (wanted - missing)
            if missing > 0 and alone >= 0:
                if gained > 0:
                    # Copies that serve may come for the bonus as well.
                    total += missing * bonus
                elif bonus + gain_alone > 0:
                    total += missing * (bonus + gain_alone)
                    for dimension in range(num_dimensions):
                        slope[dimension] -= missing * (
                            fixed[alone, dimension]
                            + load_alone * loaded[alone, dimension]
                        )
    return total


@kernel
def lowest_bound(market, state, start, prices, enough, num_steps, slope, trial):
    """Return a bound, at the best prices found; stop at one that is low ``enough``.

    Polyak's subgradient steps, from ``prices``, which then are the best.
    """
    trial[:] = prices
    lowest = np.inf
    vain = 0
    for _ in range(num_steps):
        value = lagrangian_bound(market, state, start, trial, slope)
        if value < lowest:
            vain = 0 if value < lowest - 1e-4 * abs(lowest) else vain + 1
            lowest = value
            prices[:] = trial
        else:
            vain += 1
        if lowest <= enough or vain > MAX_VAIN:
            break
        norm = 0.0
        for dimension in range(len(trial)):
            if trial[dimension] > 0 or slope[dimension] < 0:
                norm += slope[dimension] * slope[dimension]
        if norm <= TINY:
            break
        step = (value - enough) / norm
        for dimension in range(len(trial)):
            trial[dimension] = max(0.0, trial[dimension] - step * slope[dimension])
    return lowest


@kernel
def root_prices(market, prices, enough):
    """Improve prices of room for the bin as a whole; return the bound they give."""
    state = new_state(market)
    look_ahead(market, state, 0)
    slope, trial = np.empty(len(prices)), np.empty(len(prices))
    return lowest_bound(market, state, 0, prices, enough, ROOT_STEPS, slope, trial)


@kernel
def fill_table(market, prices, dimension, table):
    """Fill ``table`` with bounds by the sizes in full of one dimension.

    Entry [k, r] is the most that options from k on can be worth, at these prices of
    room, within r of the parts into which the dimension's capacity is divided. Sizes
    are rounded down to parts.
    """
    first, share, most, whole = market.first, market.share, market.most, market.whole
    num_options, grid = len(share), table.shape[1] - 1
    table[num_options] = 0.0
    for job in range(len(first) - 2, -1, -1):
        begin, end = first[job], first[job + 1]
        beyond = table[end]
        # Of the job's later options: the best worth of all its need, the least size.
        later, least = 0.0, 0
        bonus, wanted = market.bonus[job], market.wanted[job]
        for index in range(end - 1, begin - 1, -1):
            row, after = table[index], table[index + 1]
            row[:] = after
            gain, rest = market.per_copy[index], market.per_load[index]
            for other in range(len(prices)):
                gain -= prices[other] * market.fixed[index, other]
                rest -= prices[other] * market.loaded[index, other]
            each = 0.0 if whole[index] else max(0.0, rest) / share[index]
            parts = market.sizes[index, dimension] * grid // market.capacity[dimension]
            # Copies that take nothing here are taken together, and for nothing.
            most_here = most[index] if parts > 0 else 1
            for copies in range(1, most_here + 1):
                taken = copies * parts
                if taken > grid:
                    break
                met = min(1.0, copies * share[index])
                credited = min(copies, wanted)
                value = copies * gain + met * each + credited * bonus
                if parts == 0:
                    value = most[index] * max(0.0, gain) + each + wanted * bonus
                # With copies of later options, too: as if each came with all its own
                # need, or for no more than the least room and what is left of the need.
                more = met * max(0.0, later - each) + (1.0 - met) * later
                more += (wanted - credited) * bonus
                for room in range(taken, grid + 1):
                    best = value + beyond[room - taken]
                    if index < end - 1 and room >= taken + least:
                        best = max(
                            best,
                            min(
                                value + after[room - taken],
                                value + more + beyond[room - taken - least],
                            ),
                        )
                    if best > row[room]:
                        row[room] = best
            if whole[index]:
                each = max(0.0, gain) / share[index]
            later = max(later, each)
            least = parts if index == end - 1 else min(least, parts)


@kernel
def table_bound(market, state, start, prices, table, dimension):
    """Return the bound by a table for the options from ``start`` on."""
    first, share, whole = market.first, market.share, market.whole
    grid = table.shape[1] - 1
    total = 0.0
    for other in range(len(prices)):
        total += prices[other]
    at = start
    for job in range(len(first) - 1):
        begin, end = first[job], first[job + 1]
        if begin >= start:
            break
        if state.held[job] == 0:
            continue
        left, best, later = 1.0, 0.0, 0.0
        worth = 0.0
        for index in range(begin, end):
            number = state.counts[index]
            if number == 0 and (
                index < start or state.free[dimension] < market.sizes[index, dimension]
            ):
                continue
            gain, rest = market.per_copy[index], market.per_load[index]
            for other in range(len(prices)):
                gain -= prices[other] * market.fixed[index, other]
                rest -= prices[other] * market.loaded[index, other]
            each = max(0.0, rest) / share[index]
            if number == 0:
                if whole[index]:
                    each = max(0.0, gain) / share[index]
                later = max(later, each)
                continue
            total += number * gain
            amount = number * share[index]
            if whole[index]:
                left -= amount
            else:
                best = max(best, each)
                worth += amount * each
        if start < end:
            at = end
        left = max(0.0, left)
        if later > 0:
            total += left * max(best, later)
        else:
            total += min(worth, left * best)
        wanted = market.wanted[job]
        held = min(state.held[job], wanted) if start >= end else wanted
        total += market.bonus[job] * held
    return total + table[at, state.free[dimension] * grid // market.capacity[dimension]]
