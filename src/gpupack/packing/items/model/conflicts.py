"""Which item types may not share a bin, and how many copies one bin can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model.problem import PackingProblem


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
