"""How much time each part of a frontier may take of the whole."""

from __future__ import annotations

import time
from collections.abc import Callable

RANGE_SHARE = 0.1
"""Of the whole time, for each of the two ends of the range at most."""
STEPS_SHARE = 0.75
"""Of the whole time, until when all steps are placed; the rest is for headrooms."""


class StepClock:
    """The time of one frontier, shared out among its steps.

    Args:
        total_s: For the whole frontier.
        step_s: For one step, at most.
    """

    now: Callable[[], float] = staticmethod(time.perf_counter)

    def __init__(self, total_s: float, step_s: float) -> None:
        self._started = self.now()
        self._total_s = total_s
        self._step_s = step_s

    def for_end_of_range(self) -> float:
        """Return the seconds for finding one end of the range."""
        return min(self._step_s, RANGE_SHARE * self._total_s)

    def for_step(self, num_left: int) -> float:
        """Return the seconds for the next of so many steps; 0 if there are none."""
        return self._share(STEPS_SHARE * self._total_s, num_left)

    def for_headroom(self, num_left: int) -> float:
        """Return the seconds for the headroom of the next of so many steps."""
        return self._share(self._total_s, num_left)

    def _share(self, until_s: float, num_left: int) -> float:
        left = self._started + until_s - self.now()
        return max(0.0, min(self._step_s, left / num_left))
