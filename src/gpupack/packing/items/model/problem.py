"""The packing problem: item types with counts, into bins of one kind, in integers.

And what follows from sizes alone: which types may not share a bin, and how many copies
of one fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gpupack.errors import InvalidInputError, ItemTooLargeError

MAX_TOTAL = 2**62
"""Largest total size per dimension; beyond it 64-bit sums could overflow."""


@dataclass(frozen=True, slots=True)
class ItemType:
    """One kind of item: its size in every dimension, and how many there are."""

    sizes: tuple[int, ...]
    count: int = 1


@dataclass(frozen=True)
class PackingProblem:
    """Pack every item into as few bins as possible; no dimension may overflow.

    Args:
        capacity: Of each bin, one integer ≥ 1 per dimension (shape (d,)).
        item_types: Sizes ≥ 0 of shape (d,) and a count ≥ 1 each.

    Raises:
        InvalidInputError: If shapes differ, a capacity is < 1, a size is < 0, a
            count is < 1, or the total size of a dimension is beyond ``MAX_TOTAL``.
        ItemTooLargeError: If an item does not fit into an empty bin.
    """

    capacity: tuple[int, ...]
    item_types: tuple[ItemType, ...]

    def __post_init__(self) -> None:
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
