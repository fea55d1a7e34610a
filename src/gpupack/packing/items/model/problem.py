# Long because the problem, its packings and their independent check are one thing.
"""The packing problem and its packings: items, bins, what proves them, their check.

Item types with counts go into bins of one kind, in integers. From sizes alone follows
which types may not share a bin, and how many copies of one fit. The check is written in
plain Python integers and shares nothing with the solvers. In the canonical form
identical types are one, so that item order cannot change the answer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpupack.errors import CheckError, InvalidInputError, ItemTooLargeError
from gpupack.given_numbers import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_TOTAL = 2**62
"""Largest total size per dimension, and number of items; beyond it 64-bit sums could
overflow."""


@dataclass(frozen=True, slots=True)
class ItemType:
    """One kind of item: its size in every dimension, and how many there are."""

    sizes: tuple[int, ...]
    count: int = 1


def _ints(what: str, numbers: Iterable[object]) -> tuple[int, ...]:
    """Return whole numbers as Python's own.

    Raises:
        InvalidInputError: If one is none, such as 2.5, text or ``None``.
    """
    found = []
    for number in numbers:
        whole = whole_number(number)
        if whole is None:
            raise InvalidInputError(
                f"{what} is {number!r}; it must be a whole number: scale it up and "
                "round sizes up, capacities down"
            )
        found.append(whole)
    return tuple(found)


def _in_ints(index: int, item_type: ItemType) -> ItemType:
    """Return an item type with numbers of Python's own kind."""
    (number,) = _ints(f"the count of item type {index}", [item_type.count])
    return ItemType(_ints(f"a size of item type {index}", item_type.sizes), number)


@dataclass(frozen=True)
class PackingProblem:
    """Pack every item into as few bins as possible; no dimension may overflow.

    Args:
        capacity: Of each bin, one integer ≥ 1 per dimension (shape (d,)).
        item_types: Sizes ≥ 0 of shape (d,) and a count ≥ 1 each.

    Raises:
        InvalidInputError: If a number is not whole, shapes differ, a capacity is < 1, a
            size is < 0, a count is < 1, or the total size of a dimension or the number
            of items is beyond ``MAX_TOTAL``.
        ItemTooLargeError: If an item does not fit into an empty bin.
    """

    capacity: tuple[int, ...]
    item_types: tuple[ItemType, ...]

    def __post_init__(self) -> None:
        if not self._has_ints():
            # Another kind, such as numpy's, would overflow where Python's do not.
            object.__setattr__(self, "capacity", _ints("the capacity", self.capacity))
            object.__setattr__(
                self, "item_types", tuple(starmap(_in_ints, enumerate(self.item_types)))
            )
        num_dimensions = len(self.capacity)
        if num_dimensions == 0:
            raise InvalidInputError("a packing problem needs at least one dimension")
        for dimension, capacity in enumerate(self.capacity):
            if not 1 <= capacity <= MAX_TOTAL:
                raise InvalidInputError(
                    f"capacity of dimension {dimension} is {capacity}; it must be "
                    f"between 1 and {MAX_TOTAL}"
                )
        totals = [0] * num_dimensions
        for index, item_type in enumerate(self.item_types):
            if len(item_type.sizes) != num_dimensions:
                raise InvalidInputError(
                    f"item type {index} has {len(item_type.sizes)} sizes, the bins "
                    f"have {num_dimensions} dimensions"
                )
            if item_type.count < 1:
                raise InvalidInputError(
                    f"item type {index} has count {item_type.count}; it must be ≥ 1"
                )
            for dimension, size in enumerate(item_type.sizes):
                if size < 0:
                    raise InvalidInputError(
                        f"item type {index} has size {size} in dimension "
                        f"{dimension}; sizes must be ≥ 0"
                    )
                if size > self.capacity[dimension]:
                    raise ItemTooLargeError(
                        f"item type {index} has size {size} in dimension "
                        f"{dimension}, more than a bin's {self.capacity[dimension]}"
                    )
                totals[dimension] += size * item_type.count
        for dimension, total in enumerate(totals):
            if total > MAX_TOTAL:
                raise InvalidInputError(
                    f"the total size in dimension {dimension} is {total}, beyond "
                    f"{MAX_TOTAL}; scale the sizes and the capacity down"
                )

        if self.num_items > MAX_TOTAL:
            raise InvalidInputError(
                f"there are {self.num_items} items, beyond {MAX_TOTAL}; lower the "
                "counts"
            )

    def _has_ints(self) -> bool:
        """Return whether all numbers are of Python's own kind."""
        return all(type(size) is int for size in self.capacity) and all(
            type(one.count) is int and all(type(size) is int for size in one.sizes)
            for one in self.item_types
        )

    @property
    def num_dimensions(self) -> int:
        """Number of dimensions d."""
        return len(self.capacity)

    @property
    def num_types(self) -> int:
        """Number of item types."""
        return len(self.item_types)

    @cached_property
    def num_items(self) -> int:
        """Number of items, counting every copy."""
        return sum(item_type.count for item_type in self.item_types)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Sizes of shape (types, d)."""
        flat = [item_type.sizes for item_type in self.item_types]
        return np.array(flat, dtype=np.int64).reshape(self.num_types, -1)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Counts of shape (types,)."""
        return np.array([item.count for item in self.item_types], dtype=np.int64)

    @cached_property
    def capacities(self) -> NDArray[np.int64]:
        """Capacity of shape (d,)."""
        return np.array(self.capacity, dtype=np.int64)


def max_copies(problem: PackingProblem) -> NDArray[np.int64]:
    """Return, per item type, how many copies fit into one bin, at most its count."""
    sizes, capacities = problem.sizes, problem.capacities
    fits = np.where(
        sizes > 0, capacities // np.maximum(sizes, 1), np.iinfo(np.int64).max
    )
    copies: NDArray[np.int64] = np.minimum(fits.min(axis=1), problem.counts)
    return copies


def conflict_matrix(problem: PackingProblem) -> NDArray[np.bool_]:
    """Return shape (types, types): True where one copy of each does not fit.

    The diagonal is False.
    """
    sizes, capacities = problem.sizes, problem.capacities
    conflicts = np.zeros((problem.num_types, problem.num_types), dtype=bool)
    for dimension in range(problem.num_dimensions):
        column = sizes[:, dimension]
        conflicts |= column[:, None] > capacities[dimension] - column[None, :]
    np.fill_diagonal(conflicts, val=False)
    return conflicts


class SolveStatus(StrEnum):
    """How good an answer is known to be."""

    OPTIMAL = "OPTIMAL"
    """Number of bins equals the proven bound."""
    FEASIBLE = "FEASIBLE"
    """A checked packing; fewer bins may be possible."""


@dataclass(frozen=True, slots=True)
class Bin:
    """What one bin holds, and how many bins hold exactly that.

    Args:
        counts: Pairs (item type index, number of copies ≥ 1), by type index.
        multiplicity: How many bins are filled this way, ≥ 1.
    """

    counts: tuple[tuple[int, int], ...]
    multiplicity: int = 1


@dataclass(frozen=True, slots=True)
class RungReport:
    """What one rung of the ladder took and left."""

    name: str
    seconds: float
    num_bins: int
    bound: int


@dataclass(frozen=True, slots=True)
class PackingResult:
    """A checked packing and a proven lower bound on the number of bins.

    Args:
        bins: The packing, equal bins merged.
        bound: No packing has fewer bins.
        seconds: Wall time of the solve.
        method: The rung that closed the gap, or the last that ran.
        rungs: What each rung took and left, in order.
        found_by: The rung that found the packing.
        proved_by: What proved the bound; a heuristic proves nothing.
        warnings: Why a better packing might be found elsewhere, in words.
        is_interrupted: Whether Ctrl-C ended the search.
    """

    bins: tuple[Bin, ...]
    bound: int
    seconds: float
    method: str
    rungs: tuple[RungReport, ...] = ()
    found_by: str = ""
    proved_by: str = ""
    warnings: tuple[str, ...] = ()
    is_interrupted: bool = False

    @property
    def num_bins(self) -> int:
        """Number of bins used."""
        return count_bins(self.bins)

    @property
    def status(self) -> SolveStatus:
        """OPTIMAL if the packing meets the bound."""
        if self.num_bins <= self.bound:
            return SolveStatus.OPTIMAL
        return SolveStatus.FEASIBLE


def check_packing(problem: PackingProblem, bins: Sequence[Bin]) -> None:
    """Check that ``bins`` hold every item exactly once and none overflows.

    Raises:
        CheckError: Naming the bin or item type that is wrong.
    """
    placed = [0] * len(problem.item_types)
    for bin_index, one_bin in enumerate(bins):
        if one_bin.multiplicity < 1 or not one_bin.counts:
            raise CheckError(f"bin {bin_index} is empty or has no copies: {one_bin}")
        used = [0] * len(problem.capacity)
        for type_index, count in one_bin.counts:
            if not 0 <= type_index < len(placed) or count < 1:
                raise CheckError(
                    f"bin {bin_index} holds {count} of item type {type_index}"
                )
            placed[type_index] += count * one_bin.multiplicity
            for dimension, size in enumerate(problem.item_types[type_index].sizes):
                used[dimension] += size * count
        for dimension, (total, capacity) in enumerate(
            zip(used, problem.capacity, strict=True)
        ):
            if total > capacity:
                raise CheckError(
                    f"bin {bin_index} holds {total} in dimension {dimension}, "
                    f"more than {capacity}"
                )
    for type_index, item_type in enumerate(problem.item_types):
        if placed[type_index] != item_type.count:
            raise CheckError(
                f"item type {type_index} was packed {placed[type_index]} times, "
                f"not {item_type.count}"
            )


def check_result(problem: PackingProblem, result: PackingResult) -> None:
    """Check the packing, and that it does not beat its own bound.

    Raises:
        CheckError: If the packing is wrong or has fewer bins than the bound.
    """
    check_packing(problem, result.bins)
    if result.num_bins < result.bound:
        raise CheckError(
            f"{result.num_bins} bins beat the bound of {result.bound}: the bound is "
            "wrong"
        )


@dataclass(frozen=True)
class CanonicalProblem:
    """A problem with identical types merged, sorted by size, largest first.

    Args:
        problem: The merged and sorted problem.
        members: For each merged type, the original (type index, count) pairs.
    """

    problem: PackingProblem
    members: tuple[tuple[tuple[int, int], ...], ...]

    def restore(self, bins: Iterable[Bin]) -> tuple[Bin, ...]:
        """Return ``bins`` in the original item types, equal bins merged.

        Members are used up in original order, bins taken in sorted order.
        """
        supply = [deque(list(member) for member in group) for group in self.members]
        restored: dict[tuple[tuple[int, int], ...], int] = {}
        for one_bin in merge_bins(bins):
            left = one_bin.multiplicity
            while left:
                counts, copies = _draw(supply, one_bin.counts, left)
                restored[counts] = restored.get(counts, 0) + copies
                left -= copies
        return tuple(Bin(counts, copies) for counts, copies in restored.items())

    def translate(self, bins: Iterable[Bin]) -> tuple[Bin, ...]:
        """Return bins given in original item types in the merged ones."""
        merged_index = {
            original: merged
            for merged, group in enumerate(self.members)
            for original, _ in group
        }
        translated = []
        for one_bin in bins:
            counts: dict[int, int] = {}
            for type_index, count in one_bin.counts:
                merged = merged_index[type_index]
                counts[merged] = counts.get(merged, 0) + count
            translated.append(Bin(tuple(sorted(counts.items())), one_bin.multiplicity))
        return merge_bins(translated)


def canonicalize(problem: PackingProblem) -> CanonicalProblem:
    """Merge identical item types and sort them, largest relative size first."""
    groups: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for index, item_type in enumerate(problem.item_types):
        groups.setdefault(item_type.sizes, []).append((index, item_type.count))

    def sort_key(sizes: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        fill = sum(s / c for s, c in zip(sizes, problem.capacity, strict=True))
        return (-fill, sizes)

    order = sorted(groups, key=sort_key)
    merged = tuple(
        ItemType(sizes, sum(count for _, count in groups[sizes])) for sizes in order
    )
    members = tuple(tuple(groups[sizes]) for sizes in order)
    return CanonicalProblem(PackingProblem(problem.capacity, merged), members)


def count_bins(bins: Iterable[Bin]) -> int:
    """Return how many bins there are, equal ones counted one by one."""
    return sum(one_bin.multiplicity for one_bin in bins)


def merge_bins(bins: Iterable[Bin]) -> tuple[Bin, ...]:
    """Return the bins sorted by content, equal ones merged into a multiplicity."""
    merged: dict[tuple[tuple[int, int], ...], int] = {}
    for one_bin in bins:
        merged[one_bin.counts] = merged.get(one_bin.counts, 0) + one_bin.multiplicity
    return tuple(Bin(counts, merged[counts]) for counts in sorted(merged))


def _draw(
    supply: Sequence[deque[list[int]]],
    counts: tuple[tuple[int, int], ...],
    limit: int,
) -> tuple[tuple[tuple[int, int], ...], int]:
    """Take one filling from the supply, as many equal copies as it allows."""
    copies = limit
    drawn: dict[int, int] = {}
    plan: list[tuple[list[int], int]] = []
    for merged, count in counts:
        needed = count
        for member in supply[merged]:
            if needed == 0:
                break
            taken = min(needed, member[1])
            if taken:
                drawn[member[0]] = taken
                plan.append((member, taken))
                copies = min(copies, member[1] // taken)
                needed -= taken
    for member, taken in plan:
        member[1] -= taken * copies
    for merged, _ in counts:
        # Members are used up from the first on: what is left begins in the last drawn.
        while supply[merged] and not supply[merged][0][1]:
            supply[merged].popleft()
    return tuple(sorted(drawn.items())), copies
