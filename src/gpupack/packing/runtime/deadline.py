"""When to stop: one deadline that is handed down to whatever may take long.

Who has a limit makes a ``Deadline``, hands parts of it to each step, and keeps the best
answer so far. A step either looks at ``has_passed`` between two pieces of work, or asks
its rule through ``stopping``: the first question after the deadline then raises
``OutOfTimeError``, out of however many loops, to who set the deadline. Nothing else
reads a clock, so a test stops anything anywhere with a clock of its own.

Compiled searches and solvers take the number ``at`` (see ``stoppable``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

Clock = Callable[[], float]
"""Returns seconds; the differences count."""


class OutOfTimeError(Exception):
    """The deadline has passed; whoever set it catches this and returns what it has."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock.

    Args:
        at: On the clock; infinite for never.
        clock: ``time.perf_counter``, but for tests.
    """

    at: float
    clock: Clock = time.perf_counter

    @classmethod
    def after(cls, seconds: float, clock: Clock = time.perf_counter) -> Deadline:
        """Return the deadline so many seconds from now."""
        return cls(clock() + seconds, clock)

    @property
    def remaining_s(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.at - self.clock())

    @property
    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.clock() >= self.at

    def within(self, seconds: float) -> Deadline:
        """Return the deadline so many seconds from now, or this one if it is sooner."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock)

    def stopping(self, function: Callable[Given, Answer]) -> Callable[Given, Answer]:
        """Return the function, which raises ``OutOfTimeError`` once time is up."""

        def stopped(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            if self.has_passed:
                raise OutOfTimeError
            return function(*args, **kwargs)

        return stopped
