"""What the rungs share: the best packing, the best bound, the clock."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from gpupack.cpus import count_usable_cpus
from gpupack.packing.items.model.problem import (
    Bin,
    RungReport,
    check_packing,
    count_bins,
)
from gpupack.packing.runtime import fitting_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpupack.packing.items.model.problem import PackingProblem

_logger = logging.getLogger(__name__)

MANY_COPIES = 3
"""Items per type from which types, not items, are what to decide on."""


class Letterbox:
    """Packings for another thread, of which it is to see the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bins: tuple[Bin, ...] | None = None

    def put(self, bins: tuple[Bin, ...]) -> None:
        """Leave a packing in place of the one that is there."""
        with self._lock:
            self._bins = bins

    def take(self) -> tuple[Bin, ...] | None:
        """Return what was left since the last call, if anything."""
        with self._lock:
            bins, self._bins = self._bins, None
        return bins


class Correspondence:
    """A ladder's end of the exchange of packings with another's in another thread."""

    def __init__(self, name: str, *, inbox: Letterbox, outbox: Letterbox) -> None:
        self.name = name
        self._inbox, self._outbox = inbox, outbox

    def take(self) -> tuple[Bin, ...] | None:
        """Return the packing that the other found since the last call, if any."""
        return self._inbox.take()

    def improve_on(self, bins: tuple[Bin, ...]) -> None:
        """Tell the other of a packing."""
        self._outbox.put(bins)


class Ladder:
    """Best packing and bound so far, for rungs to read and improve.

    Args:
        problem: The canonical problem.
        deadline: On the clock of ``time.perf_counter``.
        time_limit_s: The whole time given.
        max_bins: Stop as soon as it is known whether this many bins do.
        seed: For every random choice.
        num_workers: Threads a rung may use; None for as many as cores may be used.
        tell: Called after every better packing or bound.
    """

    def __init__(
        self,
        problem: PackingProblem,
        *,
        deadline: float,
        time_limit_s: float,
        max_bins: int | None,
        seed: int,
        num_workers: int | None,
        tell: Callable[[Ladder], None] | None = None,
    ) -> None:
        self._tell = tell
        self.problem = problem
        self.deadline = deadline
        self.time_limit_s = time_limit_s
        self.max_bins = max_bins
        self.seed = seed
        self._num_workers = num_workers
        self.bins: tuple[Bin, ...] = ()
        self.num_bins = problem.num_items + 1
        self.bound = 0
        self.method = ""
        self.found_by = ""
        self.proved_by = ""
        self.rungs: list[RungReport] = []
        self.backgrounds: tuple[Correspondence, ...] = ()
        """Work in other threads that may have found a packing."""
        self.is_interrupted = False
        """Whether Ctrl-C has ended the climb."""
        self.ran_out_of_memory = False
        self._rung_name = ""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is left to find out."""
        if self.num_bins <= self.bound:
            return True
        if self.max_bins is None:
            return False
        return self.num_bins <= self.max_bins or self.bound > self.max_bins

    @cached_property
    def num_workers(self) -> int:
        """Threads a rung may use; small problems never ask."""
        return fitting_threads(self._num_workers or count_usable_cpus())

    @property
    def has_many_copies(self) -> bool:
        """Whether work on single items comes late: dives save many bins at once."""
        return self.problem.num_items >= MANY_COPIES * self.problem.num_types

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.perf_counter())

    def offer(self, bins: tuple[Bin, ...]) -> bool:
        """Keep a packing if it is better, after checking it; say if it was."""
        num_bins = count_bins(bins)
        if num_bins >= self.num_bins:
            return False
        check_packing(self.problem, bins)
        self.bins, self.num_bins = bins, num_bins
        self.method = self.found_by = self._rung_name
        for background in self.backgrounds:
            background.improve_on(bins)
        self._log("%d bins found by %s", num_bins, self.found_by)
        if self._tell is not None:
            self._tell(self)
        return True

    def raise_bound(self, bound: int, *, by: str = "") -> bool:
        """Keep a proven bound if it is better; say if it was.

        Args:
            bound: On the number of bins.
            by: What proves it; the rung if left out.
        """
        if bound <= self.bound:
            return False
        self.bound = bound
        self.method = self._rung_name
        self.proved_by = by or self._rung_name
        self._log("at least %d bins, proved by %s", bound, self.proved_by)
        if self._tell is not None and self.bins:
            self._tell(self)
        return True

    def _log(self, message: str, *values: object) -> None:
        spent_s = self.time_limit_s - (self.deadline - time.perf_counter())
        _logger.debug("%.2f s: " + message, spent_s, *values)

    def collect(self) -> None:
        """Take what the background work has found."""
        for background in self.backgrounds:
            found = background.take()
            if found is not None and self.offer(found):
                self.method = self.found_by = background.name

    @contextmanager
    def rung(self, name: str) -> Iterator[None]:
        """Run a block as a rung: add up its time and note what it left."""
        started = time.perf_counter()
        self._rung_name = name
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            for index, report in enumerate(self.rungs):
                if report.name == name:
                    seconds += report.seconds
                    del self.rungs[index]
                    break
            self.rungs.append(RungReport(name, seconds, self.num_bins, self.bound))
