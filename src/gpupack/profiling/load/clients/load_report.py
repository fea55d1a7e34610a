"""What a load process tells: requests as they end, CPU time, or why it cannot go on."""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

TICK_NS = 30_000_000
"""How often the worker reports."""
DRAIN_S = 2.0
"""How long requests in flight may take to end after the loop was stopped."""


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

    def tick(self) -> None:
        """Send what came since the last tick, with the CPU time so far."""
        ends, self.ends = self.ends, array("q")
        latencies, self.latencies = self.latencies, array("q")
        due, self.due = self.due, array("q")
        sent, self.sent = self.sent, array("q")
        late, self.late = self.late, array("q")
        self._pipe.send(
            (
                "tick",
                time.monotonic_ns(),
                time.process_time_ns(),
                waited_ns(),
                ends.tobytes(),
                latencies.tobytes(),
                (due.tobytes(), sent.tobytes(), late.tobytes()),
            )
        )


def waited_ns() -> int:
    """Return how long this process was ready but had no CPU; 0 where unknown."""
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
