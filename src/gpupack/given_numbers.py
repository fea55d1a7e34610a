"""Numbers as callers give them: Python's, numpy's, ``Decimal`` and ``Fraction``."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Integral, Rational, Real


def real_number(value: object) -> float | None:
    """Return a number as a float, None if it is no number.

    ``True`` is none. A number of less than double precision, such as
    ``numpy.float32(0.1)``, is the one that it is written as: 0.1. What is too large
    for a float is infinite.
    """
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    if isinstance(value, float):
        return float(value)
    try:
        return float(str(value) if hasattr(value, "dtype") else value)
    except OverflowError:
        is_positive = isinstance(value, Rational) and int(value.numerator) > 0
        return math.inf if is_positive else -math.inf
    except ValueError:  # a signaling NaN of decimal
        return math.nan


def share_number(value: object) -> float | None:
    """Return a share as a number: 0.8, or a text such as "80%"; None for all else."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            # By the decimal point, not by division: "7%" is 0.07.
            return float(f"{value.strip().removesuffix('%').strip()}e-2")
        except ValueError:
            return None
    return real_number(value)


_MONEY = re.compile(
    r"\s*(?P<before>[^\W\d_]{3}|[$€£¥₹])?\s*[-+]?\d[\d.,]*\s*"
    r"(?P<after>[^\W\d_]{3}|[$€£¥₹])?(?:\s*(?:/|per\b).*)?\s*"
)


def currency_in(value: object) -> str | None:
    """Return the currency in a price such as "0.35 EUR" or "$0.35", None if none."""
    found = _MONEY.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else found["before"] or found["after"]


def whole_number(value: object) -> int | None:
    """Return a whole number as an int, None for anything else, 2.0 and ``True`` too."""
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        return None
    return int(value)


def truth_value(value: object) -> object:
    """Return numpy's true and false as Python's, anything else as it is."""
    scalar = _scalar(value)
    return scalar if isinstance(scalar, bool) else value


def _scalar(value: object) -> object:
    """Return the number in an array without dimensions, anything else as it is."""
    if getattr(value, "ndim", None) == 0 and not isinstance(value, Real):
        item = getattr(value, "item", None)
        return item() if callable(item) else value
    return value
