"""In how many whole units an infer/sec of a model is counted."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.records.request import MAX_REPLICAS

if TYPE_CHECKING:
    from collections.abc import Collection

FINEST_PART = 10**9
"""The smallest throughput or demand of a model is counted in at least so many units,
so that rounding takes a billionth of it at most."""
LEAST_UNITS = 10**6
"""Units of an infer/sec where nothing asks for finer or coarser ones."""
MOST_UNITS = 2**60
"""Beyond it sums of whole numbers overflow; what is too wide for both is rounded."""


def service_units(throughputs: Collection[float], demand: float | None) -> int:
    """Return in how many units to count an infer/sec of one model.

    Models differ by many orders of magnitude: what serves one inference in minutes
    needs finer units than what serves a million a second.

    Args:
        throughputs: Of the model's records, in infer/sec.
        demand: In infer/sec; None for none.

    Returns:
        A power of ten: the smallest, from ``LEAST_UNITS`` on, at which every number is
        at least ``FINEST_PART``; a smaller one where the largest would be beyond
        ``MOST_UNITS``.
    """
    rates = [Fraction(repr(one)) for one in throughputs if one > 0]
    if not rates:
        return LEAST_UNITS
    # A demand beyond that is refused.
    wanted = min(Fraction(repr(demand or 0.0)), MAX_REPLICAS * max(rates))
    numbers = [*rates, wanted] if wanted else rates
    least, most = min(numbers), max(numbers)
    units = LEAST_UNITS
    while least * units < FINEST_PART:
        units *= 10
    while most * units > MOST_UNITS and units > 1:
        units //= 10
    return units
