"""When each client of a paced load may send its next request.

Imported by the process that sends requests, so it imports nothing of gpupack.
"""

from __future__ import annotations

import heapq

NUM_FREE_ROUNDS = 1
"""Rounds after the first that a client sends at once: they warm the model up."""
MAX_BEHIND_NS = 500_000_000
"""A client that is later than this leaves requests out instead of catching up."""


class Pace:
    """Evenly spaced times to send at, for clients with one request in flight each.

    A client whose answer comes late sends at once until it is back on its times, as
    traffic that has queued would be served, but never catches up on more than
    ``MAX_BEHIND_NS``. The server is slower than the pace if the clients stay behind.

    Args:
        num_clients: Requests that may be in flight.
        period_ns: Between two requests of all clients together.
        now_ns: When the first client sends.
    """

    def __init__(self, num_clients: int, period_ns: float, now_ns: int) -> None:
        self._own_period_ns = num_clients * period_ns
        self._next_ns = [now_ns + index * period_ns for index in range(num_clients)]
        self._num_free = [NUM_FREE_ROUNDS] * num_clients
        self._waiting: list[tuple[float, int]] = []

    def is_due(self, client: int, now_ns: int) -> bool:
        """Whether a client that has its answer sends again now; if not, it waits."""
        if self._num_free[client] > 0:
            self._num_free[client] -= 1
            if self._num_free[client] == 0:
                self._skip_to(client, now_ns)
            return True
        self._skip_to(client, now_ns - MAX_BEHIND_NS)
        due_ns = self._next_ns[client]
        self._next_ns[client] += self._own_period_ns
        if due_ns <= now_ns:
            return True
        heapq.heappush(self._waiting, (due_ns, client))
        return False

    def pop_due(self, now_ns: int) -> list[int]:
        """Return the waiting clients whose time has come; they send now."""
        due = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            due.append(heapq.heappop(self._waiting)[1])
        return due

    def wait_s(self, now_ns: int, at_most_s: float) -> float:
        """Return how long nobody has anything to send."""
        if not self._waiting:
            return at_most_s
        return min(at_most_s, max(0.0, (self._waiting[0][0] - now_ns) / 1e9))

    @property
    def waiting(self) -> frozenset[int]:
        """Clients that have no request in flight."""
        return frozenset(client for _, client in self._waiting)

    def _skip_to(self, client: int, earliest_ns: int) -> None:
        missing_ns = earliest_ns - self._next_ns[client]
        if missing_ns > 0:
            self._next_ns[client] += (
                -(-missing_ns // self._own_period_ns) * self._own_period_ns
            )
