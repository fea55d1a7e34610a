"""When the requests of an open loop are to be sent, whether or not any was answered.

Imported by the process that sends requests, so it imports nothing of gpupack.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

POISSON, CONSTANT, GAMMA, TIMES = "poisson", "constant", "gamma", "times"


class Schedule:
    """Arrival times, one after the other, without an end.

    Args:
        process: One of the four above.
        requests_per_s: On average; recorded times are stretched to it.
        burstiness: Of ``gamma``: the shape of its distribution.
        times_s: Of ``times``.
        seed: The same gives the same times.
    """

    def __init__(
        self,
        process: str,
        requests_per_s: float,
        *,
        burstiness: float | None = None,
        times_s: Sequence[float] = (),
        seed: str = "",
    ) -> None:
        self._process = process
        self.requests_per_s = requests_per_s
        self._period_ns = 1e9 / requests_per_s
        self._burstiness = burstiness or 1.0
        self._gaps = _gaps(times_s)
        self._seed = seed
        self._gap_ns: Callable[[], float]
        self.next_ns = 0.0

    def begin(self, now_ns: int) -> None:
        """Let time run from now; the first request is due after a first gap."""
        chance = random.Random(self._seed)
        period_ns, shape = self._period_ns, self._burstiness
        self._gap_ns = lambda: period_ns
        if self._process == POISSON:
            self._gap_ns = lambda: chance.expovariate(1.0) * period_ns
        elif self._process == GAMMA:
            self._gap_ns = lambda: chance.gammavariate(shape, period_ns / shape)
        elif self._process == TIMES:
            turns = iter(range(1 << 62))
            gaps = self._gaps
            # Where two clients replay one file they are not in step.
            first = chance.randrange(len(gaps)) if self._seed else 0
            self._gap_ns = lambda: gaps[(first + next(turns)) % len(gaps)] * period_ns
        self.next_ns = now_ns + self._gap_ns()

    def advance(self) -> None:
        """Go on to the next arrival."""
        self.next_ns += self._gap_ns()


def _gaps(times_s: Sequence[float]) -> list[float]:
    """Return the gaps between recorded times, of mean 1."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    if not gaps:
        return []
    mean = sum(gaps) / len(gaps)
    return [gap / mean for gap in gaps]
