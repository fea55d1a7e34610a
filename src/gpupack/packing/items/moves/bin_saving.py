"""Local search that saves bins: guided ejection and simulated annealing in turns."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from gpupack.packing.items.model import Correspondence, Letterbox, count_bins
from gpupack.packing.items.moves.annealing import AnnealingSearch
from gpupack.packing.items.moves.ejection import EjectionSearch
from gpupack.packing.runtime import new_flag, start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.items.model import Bin, PackingProblem

EJECTING_SLICES = 2
"""Ejection alone at first: it takes less to save the first bins."""
SLICES_PER_EJECTION = 5
"""From then on one of so many slices is ejection, the others annealing."""


class BinSaving:
    """Looks for a packing with one bin fewer, as long as it is asked to.

    Args:
        problem: The canonical problem.
        bins: The packing to start from.
        seed: For every random choice.
    """

    def __init__(
        self, problem: PackingProblem, bins: tuple[Bin, ...], *, seed: int
    ) -> None:
        self._ejection = EjectionSearch(problem, bins, seed=seed)
        self._annealing = None
        if AnnealingSearch.suits(problem):
            self._annealing = AnnealingSearch(problem, bins, seed=seed)
        self._slices = 0
        self._bins = bins

    @staticmethod
    def suits(problem: PackingProblem) -> bool:
        """Whether the problem is of a size for it."""
        return EjectionSearch.suits(problem)

    @property
    def num_bins(self) -> int:
        """Bins of the packing looked for."""
        return self._ejection.num_bins

    def restart(self, bins: tuple[Bin, ...]) -> None:
        """Look for one bin fewer than a packing found elsewhere has."""
        self._bins = bins
        self._ejection.restart(bins)
        if self._annealing is not None:
            self._annealing.restart(bins)

    def run(self, stop: NDArray[np.int8]) -> bool:
        """Search for a slice, about 30 ms of work; True once a bin was saved.

        Args:
            stop: Ends the search once its entry is not 0.
        """
        slices = self._slices
        self._slices += 1
        search: EjectionSearch | AnnealingSearch = self._ejection
        if (
            self._annealing is not None
            and slices >= EJECTING_SLICES
            and slices % SLICES_PER_EJECTION
        ):
            search = self._annealing
        if not search.run(search.slice_rounds, stop):
            return False
        self._bins = search.packing()
        return True

    def packing(self) -> tuple[Bin, ...]:
        """Return the packing after ``run`` saved a bin."""
        return self._bins


class BackgroundSearch:
    """A local search in a thread; the kernels run without the GIL.

    It starts again from a packing of ``source`` that has fewer bins.
    """

    def __init__(self, search: BinSaving) -> None:
        self._search = search
        self._found, self._better = Letterbox(), Letterbox()
        self.source = Correspondence(
            "local search", inbox=self._found, outbox=self._better
        )
        self._stop = new_flag()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> BackgroundSearch:
        start(self._thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop[0] = 1
        self._thread.join()

    def _run(self) -> None:
        with suppress(MemoryError):  # the search that this is beside goes on
            self._search_on()

    def _search_on(self) -> None:
        search = self._search
        while not self._stop[0] and search.num_bins > 0:
            better = self._better.take()
            if better is not None and count_bins(better) <= search.num_bins:
                search.restart(better)
            if search.run(self._stop):
                bins = search.packing()
                self._found.put(bins)
                search.restart(bins)
