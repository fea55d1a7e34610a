"""Simulated annealing: all items in one bin fewer, until none overflows.

Every item stays in a bin; what loads exceed capacities by, in shares of a bin over all
bins and dimensions, is to become 0. Moves are tried at random: an item to another bin,
one for one of another bin, two for one. A move that adds to the excess is accepted the
less often the more it adds and the lower the temperature, which falls geometrically.
Where bins hold many items and leave little of several dimensions, this finds packings
that filling bin after bin does not: what is left over spreads over all bins.

References:
    Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", Science 220,
    1983.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.moves.numbered_bins import number_bins, to_bins
from gpupack.packing.kernels.items import moves as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.items.model import Bin, PackingProblem

MAX_ITEMS = 1_000
"""Beyond it an annealing long enough to help takes longer than time limits are."""
FIRST_TEMPERATURE = 0.01
LAST_TEMPERATURE = 0.0005
"""In shares of a bin."""
SLICE_MOVES = 2_500_000
"""About 30 ms of moves."""
LENGTHS = (8, 32, 128)
"""Slices of the first annealings; all others have as many as the last."""


class AnnealingSearch:
    """Looks for a packing with one bin fewer, as long as it is asked to.

    Args:
        problem: The canonical problem.
        bins: The packing to start from.
        seed: For every random choice.
    """

    slice_rounds = SLICE_MOVES

    def __init__(
        self, problem: PackingProblem, bins: tuple[Bin, ...], *, seed: int
    ) -> None:
        self._problem = problem
        self._type_of = np.repeat(np.arange(problem.num_types), problem.counts)
        sizes, self._capacities = _on_a_grid(problem)
        self._sizes = np.ascontiguousarray(sizes[self._type_of])
        self._unit = float(self._capacities.max())
        self._state = np.array([0xD1B54A32D192ED03 + seed], dtype=np.uint64)
        self._annealings = 0
        self.restart(bins)

    @staticmethod
    def suits(problem: PackingProblem) -> bool:
        """Whether the problem is of a size for it."""
        return (
            problem.num_items <= MAX_ITEMS
            and problem.num_dimensions <= kernels.MAX_DIMENSIONS
        )

    def restart(self, bins: tuple[Bin, ...]) -> None:
        """Look for one bin fewer than a packing found elsewhere has."""
        self._bin_of = number_bins(self._problem, bins)
        self.num_bins = int(self._bin_of.max())
        if self.num_bins:
            # The last bin's items go to the others in turn; they move on soon.
            last = np.flatnonzero(self._bin_of == self.num_bins)
            self._bin_of[last] = np.arange(len(last)) % self.num_bins
        self._slices = 0

    def run(self, moves: int, stop: NDArray[np.int8]) -> bool:
        """Try moves; True once a bin was saved.

        Args:
            moves: Fewer if a bin is saved before.
            stop: Ends the search once its entry is not 0.
        """
        if self.num_bins == 0:
            return False
        length = LENGTHS[min(self._annealings, len(LENGTHS) - 1)]
        excess = kernels.anneal(
            self._sizes,
            self._capacities,
            self._bin_of,
            self._state,
            self.num_bins,
            moves,
            self._unit * _temperature(self._slices / length),
            self._unit * _temperature((self._slices + 1) / length),
            stop,
        )
        self._slices += 1
        if self._slices >= length:
            self._slices = 0
            self._annealings += 1
        return excess == 0

    def packing(self) -> tuple[Bin, ...]:
        """Return the packing after ``run`` saved a bin."""
        return to_bins(self._type_of, self._bin_of, self.num_bins)


def _temperature(progress: float) -> float:
    return FIRST_TEMPERATURE * math.pow(LAST_TEMPERATURE / FIRST_TEMPERATURE, progress)


def _on_a_grid(
    problem: PackingProblem,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sizes and capacities small enough for 32 bits, dimensions alike.

    Capacities below the grid are multiplied, which changes nothing. Larger ones are
    divided, sizes rounded up, so that what fits on the grid fits.
    """
    grid = kernels.MAX_SUM // (2 * problem.num_items * problem.num_dimensions)
    sizes, capacities = problem.sizes.copy(), problem.capacities.copy()
    for d, capacity in enumerate(problem.capacities.tolist()):
        if 0 < capacity <= grid:
            sizes[:, d] *= grid // capacity
            capacities[d] *= grid // capacity
        elif capacity > grid:
            divisor = -(-capacity // grid)
            sizes[:, d] = -(-sizes[:, d] // divisor)
            capacities[d] = capacity // divisor
    return sizes, capacities
