"""The largest number that has a property of all smaller ones: galloping search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def most_true(holds: Callable[[int], bool], most: int) -> int:
    """Return the largest number up to ``most`` of which something holds, 0 if of none.

    Of no number does it hold if not of all smaller ones; 1 is asked first, then
    doubling, then halving.
    """
    low, high = 0, 1
    while high <= most and holds(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
