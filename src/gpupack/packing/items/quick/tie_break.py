"""Among packings with the same number of bins, the most even one, and then the first.

Small problems are solved exactly within a fixed number of search steps: lowest
highest load, then the lexicographically smallest assignment. Larger ones are
improved by moves and swaps out of the fullest bin. Steps, not seconds, are counted,
so that the answer does not depend on the machine.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_EXACT_ITEMS = 16
MAX_SEARCH_STEPS = 12_000
MAX_LOCAL_STEPS = 50_000


@dataclass
class _Search:
    """Items into bins under the capacities and a cap on every load."""

    sizes: Sequence[Sequence[int]]
    loads: Sequence[Sequence[int]]
    capacity: Sequence[int]
    num_bins: int
    steps_left: int = MAX_SEARCH_STEPS
    best: list[int] | None = None
    best_load: int | None = None
    used: list[list[int]] = field(default_factory=list)
    loaded: list[list[int]] = field(default_factory=list)

    def run(self, order: Sequence[int], cap: int | None, *, first: bool) -> bool:
        """Search in ``order``; stop at the first packing if ``first``.

        Args:
            order: Item indices in the order of branching.
            cap: No load may exceed it; None for no cap.
            first: Stop at the first packing found, the lexicographically smallest
                in ``order``; otherwise go on below each packing's highest load.

        Returns:
            Whether the search came to its end (or to its first packing) in time.
        """
        self.used = [[0] * len(self.capacity) for _ in range(self.num_bins)]
        self.loaded = [[0] * len(self.loads[0]) for _ in range(self.num_bins)]
        self._assigned = [-1] * len(self.sizes)
        self._first = first
        self._cap = cap
        self._found_first = False
        return self._descend(order, 0, 0, 0)

    def _descend(
        self, order: Sequence[int], depth: int, num_open: int, highest: int
    ) -> bool:
        if depth == len(order):
            if num_open == self.num_bins:
                self.best = list(self._assigned)
                self.best_load = highest
                self._found_first = self._first
            return True
        # Every item still to come opens at most one bin.
        if num_open + len(order) - depth < self.num_bins:
            return True
        if self.steps_left <= 0:
            return False
        self.steps_left -= 1
        item = order[depth]
        size, load = self.sizes[item], self.loads[item]
        for index in range(min(num_open + 1, self.num_bins)):
            used, loaded = self.used[index], self.loaded[index]
            if any(
                have + more > most
                for have, more, most in zip(used, size, self.capacity, strict=True)
            ):
                continue
            new_highest = max(
                highest,
                *(have + more for have, more in zip(loaded, load, strict=True)),
            )
            if self._cap is not None and new_highest > self._cap:
                continue
            if (
                not self._first
                and self.best_load is not None
                and new_highest >= self.best_load
            ):
                continue
            self._add(item, index, 1)
            in_time = self._descend(
                order, depth + 1, max(num_open, index + 1), new_highest
            )
            self._add(item, index, -1)
            if not in_time:
                return False
            if self._found_first:
                return True
        return True

    def _add(self, item: int, index: int, sign: int) -> None:
        self._assigned[item] = index if sign > 0 else -1
        used, loaded = self.used[index], self.loaded[index]
        for dimension, size in enumerate(self.sizes[item]):
            used[dimension] += sign * size
        for dimension, load in enumerate(self.loads[item]):
            loaded[dimension] += sign * load


def even_out(
    bins: Sequence[Sequence[int]],
    sizes: Sequence[Sequence[int]],
    capacity: Sequence[int],
    loads: Sequence[Sequence[int]],
) -> list[list[int]]:
    """Return a packing with as many bins whose highest load is as low as possible.

    Args:
        bins: Item indices per bin, a feasible packing.
        sizes: Of each item, shape (items, d): what the capacity limits.
        capacity: Of each bin, shape (d,).
        loads: Of each item, shape (items, k), integers ≥ 0: the highest sum over
            bins and k is made low; k ≥ 1.

    Returns:
        Item indices per bin, ascending, bins by their smallest item: the
        lexicographically smallest packing with that load for up to
        ``MAX_EXACT_ITEMS`` items unless the steps run out, else a good one.
    """
    num_items = len(sizes)
    if num_items > MAX_EXACT_ITEMS:
        return _canonical(_improve([list(one) for one in bins], sizes, capacity, loads))
    search = _Search(sizes, loads, capacity, len(bins))
    search.best_load = highest_load(bins, loads) + 1
    by_load = sorted(range(num_items), key=lambda item: (-max(loads[item]), item))
    search.run(by_load, None, first=False)
    if search.best is None:
        return _canonical(bins)
    best = _bins_of(search.best, len(bins))
    cap = highest_load(best, loads)
    search.steps_left = MAX_SEARCH_STEPS
    search.best = None
    search.run(range(num_items), cap, first=True)
    return _canonical(best if search.best is None else _bins_of(search.best, len(bins)))


def highest_load(bins: Sequence[Sequence[int]], loads: Sequence[Sequence[int]]) -> int:
    """Return the highest sum of loads over bins and dimensions."""
    num_dimensions = len(loads[0])
    return max(
        sum(loads[item][dimension] for item in one_bin)
        for one_bin in bins
        for dimension in range(num_dimensions)
    )


def _bins_of(assigned: Sequence[int], num_bins: int) -> list[list[int]]:
    bins: list[list[int]] = [[] for _ in range(num_bins)]
    for item, index in enumerate(assigned):
        bins[index].append(item)
    return bins


def _canonical(bins: Sequence[Sequence[int]]) -> list[list[int]]:
    return sorted(sorted(one_bin) for one_bin in bins)


def _improve(
    bins: list[list[int]],
    sizes: Sequence[Sequence[int]],
    capacity: Sequence[int],
    loads: Sequence[Sequence[int]],
) -> list[list[int]]:
    """Move or swap items out of the fullest bin while that lowers it."""

    def total(items: Sequence[int], table: Sequence[Sequence[int]]) -> list[int]:
        return [sum(column) for column in zip(*(table[i] for i in items), strict=True)]

    used = [total(one_bin, sizes) for one_bin in bins]
    loaded = [total(one_bin, loads) for one_bin in bins]
    peaks = [max(load) for load in loaded]
    # Kept in order from change to change: there may be tens of thousands of bins.
    emptiest_first = sorted((peak, index) for index, peak in enumerate(peaks))
    steps = MAX_LOCAL_STEPS
    while steps > 0:
        highest, _ = emptiest_first[-1]
        _, source = emptiest_first[bisect_left(emptiest_first, (highest, 0))]
        change = None
        for _, target in emptiest_first:
            if target == source:
                continue
            for out in sorted(bins[source]):
                for back in (None, *sorted(bins[target])):
                    steps -= 1
                    if back is None and len(bins[source]) == 1:
                        continue
                    if _lowers(
                        out,
                        back,
                        used[target],
                        loaded[target],
                        (used[source], loaded[source], peaks[source]),
                        sizes,
                        loads,
                        capacity,
                    ):
                        change = (target, out, back)
                        break
                if change is not None or steps <= 0:
                    break
            if change is not None or steps <= 0:
                break
        if change is None:
            break
        target, out, back = change
        bins[source].remove(out)
        bins[target].append(out)
        if back is not None:
            bins[target].remove(back)
            bins[source].append(back)
        for index in (source, target):
            used[index] = total(bins[index], sizes)
            loaded[index] = total(bins[index], loads)
            del emptiest_first[bisect_left(emptiest_first, (peaks[index], index))]
            peaks[index] = max(loaded[index])
            insort(emptiest_first, (peaks[index], index))
    return bins


def _lowers(
    out: int,
    back: int | None,
    target_used: Sequence[int],
    target_loaded: Sequence[int],
    source: tuple[Sequence[int], Sequence[int], int],
    sizes: Sequence[Sequence[int]],
    loads: Sequence[Sequence[int]],
    capacity: Sequence[int],
) -> bool:
    """Say whether trading ``out`` for ``back`` keeps both bins below the peak."""
    source_used, source_loaded, peak = source
    size_back = (0,) * len(capacity) if back is None else sizes[back]
    load_back = (0,) * len(target_loaded) if back is None else loads[back]
    for dimension, most in enumerate(capacity):
        moved = sizes[out][dimension] - size_back[dimension]
        if target_used[dimension] + moved > most:
            return False
        if source_used[dimension] - moved > most:
            return False
    for dimension, have in enumerate(target_loaded):
        moved = loads[out][dimension] - load_back[dimension]
        if have + moved >= peak or source_loaded[dimension] - moved >= peak:
            return False
    return True
