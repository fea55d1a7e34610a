"""Local search: empty one bin and squeeze its items into the others.

Items without a bin wait in a pool. The last of them goes where it fits; if
nowhere, it ejects the one or two items of one bin whose penalties sum to least,
below its own. An item's penalty counts how often it found no room, so that
awkward items settle and easy ones move. Random feasible moves and exchanges
between bins follow each ejection.

References:
    Nagata and Bräysy, "A powerful route minimization heuristic for the vehicle
    routing problem with time windows", Operations Research Letters 37, 2009:
    guided ejection search, here for bins instead of routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.model import count_bins
from gpupack.packing.items.moves.numbered_bins import number_bins, to_bins
from gpupack.packing.kernels.items import moves as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model import Bin, PackingProblem

MAX_ITEMS = 5_000
"""Beyond it the search over single items is too slow to be worth its time."""


class EjectionSearch:
    """Looks for a packing with one bin fewer, as long as it is asked to.

    Args:
        problem: The canonical problem.
        bins: The packing to start from.
        seed: For every random choice.
    """

    def __init__(
        self, problem: PackingProblem, bins: tuple[Bin, ...], *, seed: int
    ) -> None:
        self._type_of = np.repeat(np.arange(problem.num_types), problem.counts)
        self._sizes = np.ascontiguousarray(problem.sizes[self._type_of])
        self._capacities = problem.capacities
        self._state = np.array([0x9E3779B97F4A7C15 + seed], dtype=np.uint64)
        self._penalties = np.ones(problem.num_items, dtype=np.int64)
        self._pool = np.empty(problem.num_items, dtype=np.int64)
        self._slot_of = np.empty(problem.num_items, dtype=np.int64)
        self._problem = problem
        self._num_pooled = 0
        self._members: NDArray[np.int64]
        self._num_members: NDArray[np.int64]
        self._free: NDArray[np.int64]
        # About 30 ms of work: an insertion looks at every bin and pair in it.
        pairs = problem.num_items * (2 + problem.num_items / max(1, count_bins(bins)))
        self.slice_rounds = max(50, int(1e7 / (pairs + 1000)))
        """Rounds between looks at the clock."""
        self.restart(bins)

    @staticmethod
    def suits(problem: PackingProblem) -> bool:
        """Whether the problem is of a size for it."""
        return problem.num_items <= MAX_ITEMS

    def restart(self, bins: tuple[Bin, ...]) -> None:
        """Look for one bin fewer than a packing found elsewhere has."""
        self._bin_of = number_bins(self._problem, bins)
        self.num_bins = int(self._bin_of.max()) + 1
        self._penalties[:] = 1
        self._drop_a_bin()

    def run(self, rounds: int, stop: NDArray[np.int8], *, moves: int = 20) -> bool:
        """Search for ``rounds`` insertions; True once a bin was saved.

        Args:
            rounds: Fewer if a bin is saved before.
            stop: Ends the search once its entry is not 0.
            moves: Random moves after each ejection.
        """
        self._num_pooled = int(
            kernels.eject(
                self._sizes,
                self._bin_of,
                self._slot_of,
                self._members,
                self._num_members,
                self._free,
                self._pool,
                self._num_pooled,
                self._penalties,
                self._state,
                rounds,
                moves,
                stop,
            )
        )
        return self._num_pooled == 0

    def packing(self) -> tuple[Bin, ...]:
        """Return the packing after ``run`` saved a bin."""
        return to_bins(self._type_of, self._bin_of, self.num_bins)

    def _drop_a_bin(self) -> None:
        """Send the items of the emptiest bin to the pool."""
        fill = np.zeros(self.num_bins)
        relative = (self._sizes / self._capacities).sum(axis=1)
        np.add.at(fill, self._bin_of, relative)
        dropped = int(np.argmin(fill))
        pooled = np.flatnonzero(self._bin_of == dropped)
        self._num_pooled = len(pooled)
        self._pool[: len(pooled)] = pooled[np.argsort(relative[pooled], kind="stable")]
        self._bin_of[pooled] = -1
        self._bin_of[self._bin_of > dropped] -= 1
        self.num_bins -= 1
        placed = np.flatnonzero(self._bin_of >= 0)
        largest = len(self._bin_of) if self.num_bins == 0 else 0
        self._num_members = np.bincount(
            self._bin_of[placed], minlength=self.num_bins
        ).astype(np.int64)
        if self.num_bins:
            largest = min(len(self._bin_of), 4 * int(self._num_members.max()) + 64)
        self._members = np.zeros((self.num_bins, max(largest, 1)), dtype=np.int64)
        self._free = np.tile(self._capacities, (self.num_bins, 1))
        filled = np.zeros(self.num_bins, dtype=np.int64)
        for item in placed.tolist():
            one_bin = self._bin_of[item]
            self._members[one_bin, filled[one_bin]] = item
            self._slot_of[item] = filled[one_bin]
            filled[one_bin] += 1
            self._free[one_bin] -= self._sizes[item]
