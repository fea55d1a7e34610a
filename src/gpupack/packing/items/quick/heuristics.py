"""Constructive heuristics: first fit, best fit, and filling bins one by one.

All of them work on item types with counts and on groups of equal bins, so that
their cost grows with the number of types and of different bins, not of items.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import Bin, merge_bins
from gpupack.packing.runtime import Deadline, OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gpupack.packing.items.model import PackingProblem


NEVER = Deadline(math.inf)
LATE_GROUPS = 1_000
"""Of equal bins, that first fit looks at once time is up."""
PORTION = 16
"""One in so many of the copies that fit go into a bin at once, where it is filled with
what suits its room best: as many looks as a logarithm of their number."""


def constructive_packings(
    problem: PackingProblem, deadline: Deadline = NEVER
) -> Iterator[tuple[Bin, ...]]:
    """Yield packings by vector first fit, best fit and dot product, in turn.

    Args:
        problem: What to pack.
        deadline: Once it has passed, first fit and best fit look at the newest groups
            of equal bins alone, where there are many, and the dot product is given up.

    References:
        Panigrahy, Talwar, Uyeda and Wieder, "Heuristics for vector bin packing",
        2011: decreasing orders and the bin-centric dot product.
    """
    for order in _orders(problem):
        yield first_fit(problem, order, deadline=deadline)
        yield first_fit(problem, order, best_fit=True, deadline=deadline)
    for norm in (False, True):
        try:
            packing = fill_bins(problem, penalize_distance=norm, deadline=deadline)
        except OutOfTimeError:
            return
        yield packing


def first_fit(
    problem: PackingProblem,
    order: NDArray[np.int64],
    *,
    best_fit: bool = False,
    deadline: Deadline = NEVER,
) -> tuple[Bin, ...]:
    """Put item types, in the order given, into the first or fullest bins that fit.

    Args:
        problem: What to pack.
        order: Item types.
        best_fit: Whether the fullest bin goes first.
        deadline: Once it has passed, an item looks at the newest ``LATE_GROUPS`` groups
            of equal bins alone: as many looks as items.
    """
    sizes, capacities = problem.sizes, problem.capacities
    free = np.empty((LATE_GROUPS, problem.num_dimensions), dtype=np.int64)
    copies = np.empty(LATE_GROUPS, dtype=np.int64)
    contents: list[tuple[tuple[int, int], ...]] = []
    for item_type in order.tolist():
        size = sizes[item_type]
        left = int(problem.counts[item_type])
        known = len(contents)
        first = known - LATE_GROUPS
        first = first if first > 0 and deadline.has_passed else 0
        fits = _copies_that_fit(free[first:known], size)
        open_groups = np.flatnonzero(fits)
        if best_fit and len(open_groups) > 1:
            room = (free[first + open_groups] / capacities).sum(axis=1)
            open_groups = open_groups[np.argsort(room, kind="stable")]
        new_free, new_copies = [], []
        for at in open_groups.tolist():
            if left == 0:
                break
            group = first + at
            each = min(int(fits[at]), left)
            filled = min(int(copies[group]), left // each)
            before, whole = contents[group], int(copies[group])
            if filled < whole:
                # Only some bins of the group take the item: the rest split off.
                new_free.append(free[group].copy())
                new_copies.append(whole - filled)
                contents.append(before)
                copies[group] = filled
            contents[group] = (*before, (item_type, each))
            free[group] -= size * each
            left -= filled * each
            if 0 < left < each and filled < whole:
                # One more bin takes the last few copies.
                new_copies[-1] -= 1
                new_free.append(new_free[-1] - size * left)
                new_copies.append(1)
                contents.append((*before, (item_type, left)))
                left = 0
        if left:
            each = min(int(_copies_that_fit(capacities[None, :], size)[0]), left)
            for each_now, bins in ((each, left // each), (left % each, 1)):
                if each_now:
                    new_free.append(capacities - size * each_now)
                    new_copies.append(bins)
                    contents.append(((item_type, each_now),))
        if len(contents) > len(free):
            # Twice as much, so that a group is moved once or twice.
            free = np.resize(free, (2 * len(contents), len(capacities)))
            copies = np.resize(copies, 2 * len(contents))
        if new_free:
            free[known : len(contents)] = new_free
            copies[known : len(contents)] = new_copies
    return _to_bins(contents, copies[: len(contents)].tolist())


def fill_bins(
    problem: PackingProblem,
    *,
    penalize_distance: bool = False,
    deadline: Deadline = NEVER,
) -> tuple[Bin, ...]:
    """Fill one bin at a time with the item that suits its remaining room best.

    The item with the largest weighted dot product of size and remaining room
    goes in next; with ``penalize_distance`` the one whose size is closest to
    the room. Weights follow the average load per dimension. Of items of which
    more than ``PORTION`` fit, a portion goes in at once. A finished filling is
    repeated while the supply lasts.

    Raises:
        OutOfTimeError: If the deadline passes before all items are packed.
    """
    sizes = problem.sizes / problem.capacities
    left = problem.counts.copy()
    contents: list[tuple[tuple[int, int], ...]] = []
    copies: list[int] = []
    while left.any():
        weights = (sizes * left[:, None]).sum(axis=0)
        weights /= max(float(weights.max()), 1e-12)
        free = problem.capacities.copy()
        filling: dict[int, int] = {}
        supply = left.copy()
        while True:
            if deadline.has_passed:
                raise OutOfTimeError
            candidates = np.flatnonzero(
                (supply > 0) & (problem.sizes <= free).all(axis=1)
            )
            if len(candidates) == 0:
                break
            room = free / problem.capacities
            if penalize_distance:
                gap = room - sizes[candidates]
                scores = -(gap * gap) @ weights
            else:
                scores = sizes[candidates] @ (room * weights)
            chosen = int(candidates[int(np.argmax(scores))])
            size = problem.sizes[chosen]
            fit = min(
                int(supply[chosen]), int(_copies_that_fit(free[None, :], size)[0])
            )
            # Where many fit, one changes the scores by next to nothing.
            added = max(1, fit // PORTION) if size.any() else fit
            filling[chosen] = filling.get(chosen, 0) + added
            supply[chosen] -= added
            free -= size * added
        repeats = min(int(left[item]) // count for item, count in filling.items())
        for item, count in filling.items():
            left[item] -= count * repeats
        contents.append(tuple(filling.items()))
        copies.append(repeats)
    return _to_bins(contents, copies)


def _orders(problem: PackingProblem) -> Iterator[NDArray[np.int64]]:
    """Yield orders of decreasing size: sum, weighted sum, maximum, lexicographic."""
    relative = problem.sizes / problem.capacities
    load = (relative * problem.counts[:, None]).sum(axis=0)
    keys = [
        relative @ load,
        relative.sum(axis=1),
        relative.max(axis=1),
        (relative**2).sum(axis=1),
        relative.prod(axis=1),
        *(relative[:, dimension] for dimension in range(min(relative.shape[1], 10))),
    ]
    for key in keys:
        yield np.argsort(-key, kind="stable")


def _copies_that_fit(
    free: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many copies of ``size`` fit into each row of ``free``."""
    used = np.flatnonzero(size)
    if len(used) == 0:
        return np.full(len(free), np.iinfo(np.int64).max)
    fits: NDArray[np.int64] = (free[:, used] // size[used]).min(axis=1)
    return fits


def _to_bins(
    contents: list[tuple[tuple[int, int], ...]], copies: list[int]
) -> tuple[Bin, ...]:
    return merge_bins(
        Bin(tuple(sorted(counts)), number)
        for counts, number in zip(contents, copies, strict=True)
        if number
    )
