"""How fast the host's cores run from moment to moment, as served networks see it.

A core that shares its execution units with a stranger's hyperthread does the same
arithmetic in nearly twice the time, and that changes within seconds; so do the rates of
networks that the host prepares or launches. A served network therefore times a little
arithmetic before each request, in the process that launches it. ``HostSpeed`` travels
into the model repository beside ``busy_model.py``; the recording reads its file.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WRITE_EVERY_S = 0.1
PARAMETER = "host_speed"
"""Of ``config.pbtxt``: the folder of the files; none turns readings off."""
_NUM_STEPS, _NUM_UNTIMED_STEPS = 400, 100
_BYTES = 16
_INTERRUPTED = 4.0
"""A reading so many times the median had its core taken away."""


class HostSpeed:
    """Times arithmetic and appends the readings to a file.

    A thread of its own writes, so that requests do not wait for the file system, and
    the readings of the last requests arrive although no others follow.

    Args:
        folder: Of the file; made if it is not there.
        name: Of the model: the file's, too.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / name
        self._pending: deque[tuple[int, float]] = deque()
        self._is_over = threading.Event()
        self._writer = threading.Thread(target=self._write_on, daemon=True)
        self._writer.start()

    def read(self) -> None:
        """Time about 20 µs of arithmetic."""
        # What a process does first when it wakes up, it does with cold caches.
        _arithmetic(_NUM_UNTIMED_STEPS)
        began_s = time.perf_counter()
        _arithmetic(_NUM_STEPS)
        took_us = 1e6 * (time.perf_counter() - began_s)
        self._pending.append((time.monotonic_ns(), took_us))

    def close(self) -> None:
        """Write what is left."""
        self._is_over.set()
        self._writer.join()

    def _write_on(self) -> None:
        while not self._is_over.wait(WRITE_EVERY_S):
            self._write()
        self._write()

    def _write(self) -> None:
        if self._pending:
            found = array("d")
            while self._pending:
                found.extend(self._pending.popleft())
            with self._path.open("ab") as file:
                file.write(found.tobytes())


class HostSpeedReadings:
    """What the models' files hold so far.

    Args:
        folder: As ``HostSpeed`` was given it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, NDArray[np.float64]] = {}

    def mean_us(self, name: str, begin_ns: int, end_ns: int) -> float | None:
        """Return the mean time of the arithmetic, in microseconds; None without any.

        Readings that were interrupted are left out: they tell of another's turn on the
        core.

        Args:
            name: Of the model.
            begin_ns: On the monotonic clock.
            end_ns: Likewise.
        """
        readings = self._of(name, end_ns)
        first, after = np.searchsorted(readings[:, 0], [begin_ns, end_ns])
        inside = readings[first:after, 1]
        if not len(inside):
            return None
        return float(inside[inside <= _INTERRUPTED * np.median(inside)].mean())

    def _of(self, name: str, until_ns: int) -> NDArray[np.float64]:
        known = self._read.get(name, np.empty((0, 2)))
        path = self._folder / name
        if (not len(known) or known[-1, 0] < until_ns) and path.exists():
            with path.open("rb") as file:
                file.seek(known.size // 2 * _BYTES)
                found = file.read()
            whole = len(found) // _BYTES * _BYTES
            more = np.frombuffer(found[:whole]).reshape(-1, 2)
            known = np.concatenate([known, more])
            self._read[name] = known
        return known


def _arithmetic(num_steps: int) -> int:
    total = 0
    for step in range(num_steps):
        total += step * step
    return total
