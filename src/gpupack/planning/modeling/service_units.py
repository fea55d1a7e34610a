"""In how many whole units an infer/sec of a model is counted."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.planning.modeling.sizes import READING_TOLERANCE
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
ROUNDING = 1e-8
"""Relative: more than units and floating point take from a throughput."""
SERVICE_TOLERANCE = Fraction(1, 10**6)
"""What counting in units may take from a demand; traffic is shared out to it."""


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


def demand_units(
    infer_per_sec: float,
    throughputs: Collection[float],
    units: int,
    max_load_ratio: float,
) -> int:
    """Return a demand in units, as little less as rounding takes from its replicas.

    Replicas whose throughputs add up to the demand, to the tolerance of readings, serve
    it: three of 33.333333 infer/sec are enough for 100.

    Args:
        infer_per_sec: The demand.
        throughputs: Of the model's records, in infer/sec.
        units: Of one infer/sec.
        max_load_ratio: The most of its throughput that a replica serves, (0, 1].
    """
    demand = units_up(infer_per_sec, units)
    wanted = Fraction(repr(infer_per_sec))
    for throughput in throughputs:
        if _is_plainly_more(infer_per_sec, throughput * max_load_ratio, units):
            continue
        each = Fraction(repr(throughput)) * (1 + READING_TOLERANCE)
        each *= Fraction(repr(max_load_ratio))
        if each:
            copies = math.ceil(wanted / each)
            served = copies * units_down(throughput, units, max_load_ratio)
            if served >= demand * (1 - SERVICE_TOLERANCE):
                demand = min(demand, served)
    # So much is beyond any number of replicas, of which the caller tells.
    return min(demand, 2 * MOST_UNITS)


def _is_plainly_more(infer_per_sec: float, each: float, units: int) -> bool:
    """Return whether replicas of so much serve more than a demand, beyond rounding.

    Their number is what the demand takes of them, rounded up; false says nothing.
    Fractions take long where there are very many models.
    """
    if not 0 < FINEST_PART <= each * units < MOST_UNITS:
        return False
    replicas = infer_per_sec / (each * (1 + float(READING_TOLERANCE)))
    if abs(replicas - round(replicas)) <= ROUNDING * max(1.0, replicas):
        return False
    return math.ceil(replicas) * each > infer_per_sec * (1 + ROUNDING)


def units_up(infer_per_sec: float, units: int) -> int:
    """Return traffic in units, rounded up."""
    rate = Fraction(repr(infer_per_sec))
    return -(-rate.numerator * units // rate.denominator)


def units_down(infer_per_sec: float | None, units: int, share: float = 1.0) -> int:
    """Return a share of a throughput in units; at least one, the least measured."""
    rate = Fraction(repr(infer_per_sec or 0.0))
    if share != 1:
        rate *= Fraction(repr(share))
    return max(1, rate.numerator * units // rate.denominator)
