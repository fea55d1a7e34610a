"""Prices and budgets in whole numbers, and when a budget is enough.

A budget is often a sum that a computer took of prices, ``6 * 0.35``, which is
2.0999999999999996. What costs at most ``BUDGET_TOLERANCE`` of the budget more than it
is therefore within it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

BUDGET_TOLERANCE = Fraction(1, 10**9)
"""The share of itself by which a budget may be exceeded."""
PRICE_UNITS = 1_000_000
"""Prices are counted in millionths of the caller's currency per hour."""
_FINE_UNITS = 1_000_000_000
_MAX_FINE_BUDGET = 1_000_000
"""Up to here prices can be counted in thousand-millionths."""


def price_units(price_per_hour: float) -> int:
    """Return a price in millionths, rounded up unless it is a whole number of them."""
    units = _exactly(price_per_hour) * PRICE_UNITS
    return math.ceil(units * (1 - BUDGET_TOLERANCE))


def within_budget(
    prices_per_hour: Sequence[float], budget_per_hour: float
) -> tuple[list[int], int]:
    """Return prices and a budget in whole numbers of the same unit.

    The unit is the largest of which all prices are whole numbers, if they are so of
    millionths. A third of something is no whole number of them: then prices are rounded
    down to thousand-millionths, so that ``n`` GPUs are within ``n`` times their price.

    Args:
        prices_per_hour: Of each GPU type; one that exceeds the budget comes out as
            more than it, no matter by how much.
        budget_per_hour: What GPUs may cost together.
    """
    budget = _exactly(budget_per_hour) * (1 + BUDGET_TOLERANCE)
    prices = [_exactly(price) for price in prices_per_hour]
    units = PRICE_UNITS
    if budget <= _MAX_FINE_BUDGET and not all(map(_is_whole, prices)):
        units = _FINE_UNITS
    affordable = {
        price: math.floor(price * units * (1 + BUDGET_TOLERANCE / 1000))
        for price in prices
        if price <= budget
    }
    # Solvers tell small numbers apart more surely than large ones.
    divisor = math.gcd(*affordable.values()) or 1
    most = math.floor(budget * units) // divisor
    costs = [
        affordable[price] // divisor if price in affordable else most + 1
        for price in prices
    ]
    return costs, most


def _exactly(price: float) -> Fraction:
    """Return the number that is written for a float: 0.35, not its binary value."""
    return Fraction(repr(price))


def _is_whole(price: Fraction) -> bool:
    """Return whether a price is, but for rounding, a whole number of millionths."""
    units = price * PRICE_UNITS
    return abs(units - round(units)) <= units * BUDGET_TOLERANCE / 1000
