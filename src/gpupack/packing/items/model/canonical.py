"""One fixed form per problem, so that item order cannot change the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.items.model.problem import ItemType, PackingProblem
from gpupack.packing.items.model.solution import Bin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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
        supply = [[list(member) for member in group] for group in self.members]
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


def merge_bins(bins: Iterable[Bin]) -> tuple[Bin, ...]:
    """Return the bins sorted by content, equal ones merged into a multiplicity."""
    merged: dict[tuple[tuple[int, int], ...], int] = {}
    for one_bin in bins:
        merged[one_bin.counts] = merged.get(one_bin.counts, 0) + one_bin.multiplicity
    return tuple(Bin(counts, merged[counts]) for counts in sorted(merged))


def _draw(
    supply: Sequence[list[list[int]]],
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
    for group in {merged for merged, _ in counts}:
        supply[group][:] = [member for member in supply[group] if member[1]]
    return tuple(sorted(drawn.items())), copies
