"""Wait until memory has settled.

A server answers an unload in milliseconds, but the model's process, and with it its
device memory, lives on for more than a second. A baseline read too early holds the
model that was just unloaded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.units import BYTES_PER_MIB

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_S = 2.0
"""Longer than the 1.3 s for which an unloaded model's process was seen to live on."""

TIMEOUT_S = 15.0

TOLERANCE_BYTES = 2 * BYTES_PER_MIB
"""One allocation granule of a GPU; changes below it are no model."""


@dataclass(frozen=True)
class SettledMemory:
    """The last reading, and whether it can be relied on.

    Attributes:
        has_moved: Whether it changed during the wait by more than the tolerance.
    """

    memory_used_bytes: int | None
    is_settled: bool
    waited_s: float
    has_moved: bool = False


def wait_until_settled(
    read_used_bytes: Callable[[], int | None],
    *,
    at_most_bytes: int | None = None,
    quiet_s: float = QUIET_S,
    timeout_s: float = TIMEOUT_S,
    tolerance_bytes: int = TOLERANCE_BYTES,
    interval_s: float = 0.05,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> SettledMemory:
    """Read used memory until it stays where it is.

    Args:
        read_used_bytes: Returns used memory; None ends the wait, unsettled.
        at_most_bytes: What it should come down to, such as an earlier baseline. Memory
            at or below it, give or take ``tolerance_bytes``, is settled at once.
        quiet_s: Settled when it stayed within ``tolerance_bytes`` this long.
        timeout_s: Give up after this long.
        tolerance_bytes: Changes up to this are none.
        interval_s: Time between readings.
        now: A clock that never runs backwards.
        sleep: Waits for so many seconds.
    """
    started_s = quiet_since_s = now()
    used_bytes = reference_bytes = read_used_bytes()
    has_moved = False
    while used_bytes is not None and reference_bytes is not None:
        waited_s = now() - started_s
        if abs(used_bytes - reference_bytes) > tolerance_bytes:
            reference_bytes, quiet_since_s = used_bytes, now()
            has_moved = True
        reached = (
            at_most_bytes is not None and used_bytes <= at_most_bytes + tolerance_bytes
        )
        if reached or now() - quiet_since_s >= quiet_s:
            return SettledMemory(used_bytes, True, waited_s, has_moved)
        if waited_s >= timeout_s:
            break
        sleep(interval_s)
        used_bytes = read_used_bytes()
    return SettledMemory(used_bytes, False, now() - started_s, has_moved)
