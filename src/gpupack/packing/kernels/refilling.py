"""Empty a few bins and fill them again, thousands of times (see ``refilling``)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpupack.packing.kernels.compile import kernel

MAX_COPIES = 2_048
"""That one filling of a bin puts in: those that take no room have no end."""
TINY = 1e-9
LEAST_LOAD = 1e-6
"""Share of a copy's rate below which it is not worth its room."""


class Choices(NamedTuple):
    """What can be filled in: arrays by bin, bin type (capacity to starts), option, job.

    ``options[starts[t]:starts[t + 1]]`` are those of bin type t. ``gain`` is the share
    of its job's need that a copy at full rate meets, ``bonus`` what a copy is worth
    besides; ``worth`` of all a job needs, ``must`` the loss per copy missing to the
    ``least``; jobs that are ``whole`` take no part loads.
    """

    bin_type: NDArray[np.int64]
    capacity: NDArray[np.float64]
    weights: NDArray[np.float64]
    options: NDArray[np.int64]
    starts: NDArray[np.int64]
    job: NDArray[np.int64]
    fixed: NDArray[np.float64]
    loaded: NDArray[np.float64]
    gain: NDArray[np.float64]
    bonus: NDArray[np.float64]
    worth: NDArray[np.float64]
    must: NDArray[np.float64]
    least: NDArray[np.int64]
    most: NDArray[np.int64]
    whole: NDArray[np.bool_]


class Filling(NamedTuple):
    """What is filled in: slots by bin, and by job the share unmet and the copies."""

    option: NDArray[np.int64]
    number: NDArray[np.int64]
    load: NDArray[np.float64]
    num_slots: NDArray[np.int64]
    left: NDArray[np.float64]
    copies: NDArray[np.int64]


@kernel
def _loss(worth, must, least, left, copies, job):
    loss = worth[job] * max(0.0, left[job])
    missing = least[job] - copies[job]
    if missing > 0:
        loss += must[job] * missing
    return loss


@kernel
def _fill(choices, filling, number, noise):
    # Fill an empty bin by value per weighted room; return how much loss that saves.
    # Arrays get names of their own: taking them out of the tuples, or passing the
    # tuples on, in the inner loop costs twenty times the loop itself.
    kind = choices.bin_type[number]
    room = choices.capacity[kind].copy()
    weights = choices.weights[kind]
    options, owner = choices.options, choices.job
    fixed, loaded, gain, bonus = (
        choices.fixed,
        choices.loaded,
        choices.gain,
        choices.bonus,
    )
    worth, must, whole = choices.worth, choices.must, choices.whole
    least, most = choices.least, choices.most
    left, copies = filling.left, filling.copies
    first, last = choices.starts[kind], choices.starts[kind + 1]
    candidates = np.empty(last - first, np.int64)
    num_candidates = 0
    for index in range(first, last):
        job = owner[options[index]]
        if copies[job] < least[job] or (left[job] > TINY and copies[job] < most[job]):
            candidates[num_candidates] = options[index]
            num_candidates += 1
    factors = np.empty(num_candidates)
    for index in range(num_candidates):
        factors[index] = math.exp(noise * np.random.randn())
    saved = 0.0
    used = 0
    for _ in range(MAX_COPIES):
        best = -1
        best_density = 0.0
        best_load = 0.0
        index = 0
        while index < num_candidates:
            option = candidates[index]
            job = owner[option]
            is_needed = copies[job] < least[job]
            load = -1.0
            if is_needed or (left[job] > TINY and copies[job] < most[job]):
                load = 1.0
                if not whole[job]:
                    load = 0.0
                    if gain[option] > 0:
                        load = min(1.0, max(0.0, left[job]) / gain[option])
                for dimension in range(len(room)):
                    free = room[dimension] - fixed[option, dimension]
                    if free < 0:
                        load = -1.0
                        break
                    if loaded[option, dimension] * load > free:
                        load = free / loaded[option, dimension]
                if load < LEAST_LOAD and not is_needed:
                    load = -1.0
            if load < 0:
                num_candidates -= 1
                candidates[index] = candidates[num_candidates]
                factors[index] = factors[num_candidates]
                continue
            value = worth[job] * load * gain[option] + bonus[option]
            if is_needed:
                value += must[job]
            taken = TINY
            for dimension in range(len(room)):
                taken += weights[dimension] * (
                    fixed[option, dimension] + load * loaded[option, dimension]
                )
            density = value / taken * factors[index]
            if density > best_density:
                best, best_density, best_load = option, density, load
            index += 1
        if best < 0:
            break
        slot = -1
        for other in range(used):
            if filling.option[number, other] == best:
                slot = other
        if slot < 0:
            if used == filling.option.shape[1]:
                break
            slot = used
            used += 1
            filling.option[number, slot] = best
            filling.number[number, slot] = 0
            filling.load[number, slot] = 0.0
        job = owner[best]
        saved += _loss(worth, must, least, left, copies, job) + bonus[best]
        filling.number[number, slot] += 1
        filling.load[number, slot] += best_load
        left[job] -= best_load * gain[best]
        copies[job] += 1
        saved -= _loss(worth, must, least, left, copies, job)
        for dimension in range(len(room)):
            room[dimension] -= (
                fixed[best, dimension] + best_load * loaded[best, dimension]
            )
    filling.num_slots[number] = used
    return saved


@kernel
def _empty(choices, filling, number):
    # Return how much loss that adds.
    worth, must, least = choices.worth, choices.must, choices.least
    left, copies = filling.left, filling.copies
    added = 0.0
    for slot in range(filling.num_slots[number]):
        option = filling.option[number, slot]
        count = filling.number[number, slot]
        job = choices.job[option]
        added -= _loss(worth, must, least, left, copies, job)
        left[job] += filling.load[number, slot] * choices.gain[option]
        copies[job] -= count
        added += _loss(worth, must, least, left, copies, job)
        added += choices.bonus[option] * count
    filling.num_slots[number] = 0
    return added


@kernel
def _copy(source, target):
    target.option[:] = source.option
    target.number[:] = source.number
    target.load[:] = source.load
    target.num_slots[:] = source.num_slots
    target.left[:] = source.left
    target.copies[:] = source.copies


@kernel
def _copy_bin(source, number, target, place):
    target.option[place] = source.option[number]
    target.number[place] = source.number[number]
    target.load[place] = source.load[number]
    target.num_slots[place] = source.num_slots[number]


@kernel
def refill(
    choices, filling, best, kept, num_moves, most_emptied, hot, cold, target, seed
):
    """Anneal; ``filling`` then is the best found. Return its loss.

    A move empties up to ``most_emptied`` bins and fills them again with whatever is
    open by then. Bins that are empty at the start are filled first. ``best`` and
    ``kept`` are room to work in: a filling of all bins, and of ``most_emptied``.
    """
    np.random.seed(seed)
    num_bins = len(choices.bin_type)
    loss = 0.0
    for job in range(len(filling.left)):
        loss += _loss(
            choices.worth,
            choices.must,
            choices.least,
            filling.left,
            filling.copies,
            job,
        )
    for number in range(num_bins):
        for slot in range(filling.num_slots[number]):
            loss -= (
                choices.bonus[filling.option[number, slot]]
                * filling.number[number, slot]
            )
    for number in range(num_bins):
        if filling.num_slots[number] == 0:
            loss -= _fill(choices, filling, number, 0.0)
    lowest = loss
    _copy(filling, best)
    chosen = np.empty(most_emptied, np.int64)
    for move in range(num_moves):
        if lowest <= target or num_bins == 0:
            break
        temperature = hot * (cold / hot) ** (move / num_moves)
        num_emptied = min(num_bins, np.random.randint(1, most_emptied + 1))
        kept.left[:] = filling.left
        kept.copies[:] = filling.copies
        change = 0.0
        for index in range(num_emptied):
            is_new = False
            while not is_new:
                chosen[index] = np.random.randint(num_bins)
                is_new = True
                for other in range(index):
                    if chosen[other] == chosen[index]:
                        is_new = False
            _copy_bin(filling, chosen[index], kept, index)
            change += _empty(choices, filling, chosen[index])
        draw = np.random.random()
        noise = 0.02 if draw < 0.3 else (0.1 if draw < 0.7 else 0.4)
        for index in range(num_emptied):
            change -= _fill(choices, filling, chosen[index], noise)
        if change <= 0 or np.random.random() < math.exp(-change / temperature):
            loss += change
            if loss < lowest - TINY:
                lowest = loss
                _copy(filling, best)
            continue
        filling.left[:] = kept.left
        filling.copies[:] = kept.copies
        for index in range(num_emptied):
            _copy_bin(kept, index, filling, chosen[index])
    _copy(best, filling)
    return lowest
