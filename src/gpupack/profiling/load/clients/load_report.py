"""What a load process tells: requests as they end, CPU time, or why it cannot go on."""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

TICK_NS = 30_000_000
"""How often the worker reports."""
REPORTED = (
    *("ends", "latencies", "due", "sent", "late"),
    *("firsts", "counts", "gap_ends", "gaps"),
)
"""What a tick may hold: arrays of ``Reporter``, by name, as bytes."""
CLOSE_S = 2.0
"""How long sequences and streams may take to end after the last request, and what is in
flight at least, however short a time a request may take."""


class LoadError(Exception):
    """The loop cannot go on: a refused request, a lost connection, a time-out."""


class Reporter:
    """Hands on when requests ended and how long they took, tick by tick."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.ends = array("q")
        self.latencies = array("q")
        self.due = array("q")
        """Of an open loop: when requests were due, in order."""
        self.sent = array("q")
        """When they were sent: the first of ``due`` first."""
        self.late = array("q")
        """By how much that was the client's own fault: not for want of a connection."""
        self.firsts = array("q")
        """Of each request answered by a stream: time to its first response, or -1."""
        self.counts = array("q")
        """Of each such request: how many responses came."""
        self.gap_ends = array("q")
        self.gaps = array("q")
        """Between two responses of a request: when it ended, and how long it was."""

    def tick(self) -> None:
        """Send what came since the last tick, with the CPU time so far."""
        told = {}
        for name in REPORTED:
            times = getattr(self, name)
            if times:
                told[name] = times.tobytes()
                setattr(self, name, array("q"))
        self._pipe.send(
            (
                "tick",
                time.monotonic_ns(),
                time.process_time_ns(),
                waited_ns(),
                told,
            )
        )


def waited_ns() -> int:
    """Return how long this process was ready but had no CPU; 0 where unknown."""
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
