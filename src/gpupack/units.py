"""Number types with units and bounds, and the conversions between units.

Internally gpupack keeps bytes, percent (0–100), ratios (0–1), microseconds and
inferences per second; people see MiB, percent and milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import Field

BYTES_PER_MIB = 1024 * 1024
BYTES_PER_GB = 10**9
BYTES_PER_GIB = 1024 * BYTES_PER_MIB
_MOST_WRITTEN_OUT = 1e15

NumBytes = Annotated[int, Field(ge=0, le=2**62)]
"""A number of bytes."""

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
"""A share of time or capacity that cannot exceed 100 %."""

Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A share between 0 and 1."""

Microseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration in microseconds."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration in seconds."""

InferPerSec = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Completed inferences (requests × batch size) per second."""

PositiveInferPerSec = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Completed inferences per second; more than none."""

Amount = TypeVar("Amount", int, float)


def bytes_from_mib(mib: float) -> int:
    """Return the whole number of bytes nearest to ``mib`` MiB."""
    return round(mib * BYTES_PER_MIB)


def mib_from_bytes(num_bytes: float) -> float:
    """Return ``num_bytes`` in MiB, not rounded."""
    return num_bytes / BYTES_PER_MIB


def sum_if_known(values: Iterable[Amount | None]) -> Amount | None:
    """Return the sum of amounts of one unit, None if one of them is not known."""
    amounts = list(values)
    known = [one for one in amounts if one is not None]
    return sum(known) if len(known) == len(amounts) else None


def counted_sum_if_known(values: Iterable[tuple[int, float | None]]) -> float | None:
    """Return the sum of amounts that are there so many times, as ``sum_if_known``.

    Args:
        values: How many times, and the amount.
    """
    counted = list(values)
    known = [number * value for number, value in counted if value is not None]
    return math.fsum(known) if len(known) == len(counted) else None


def in_digits(value: float, num_digits: int) -> str:
    """Return a number for people in so many digits, or all that stand before its dot.

    Thousands are separated; there is no power of ten below 10¹⁵: ``22,240``, not
    ``2.22e+04``.
    """
    text = f"{value:,.{num_digits}g}"
    return f"{value:,.0f}" if "e+" in text and value < _MOST_WRITTEN_OUT else text
