"""Numbers as callers give them: Python's, numpy's, ``Decimal`` and ``Fraction``."""

from __future__ import annotations

import math
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
