"""Amounts of a resource in words, as precise as what is said of them needs."""

from __future__ import annotations

import math
from fractions import Fraction

from gpupack.planning.sizes import to_reading_unit
from gpupack.records.gpu import Resource
from gpupack.units import BYTES_PER_MIB

MAX_DECIMALS = 9
"""Utilizations are counted in billionths of a percent; a byte has six in MiB."""


def told(resource: Resource, units: int, decimals: int = 0) -> str:
    """Return an amount in MiB or percent."""
    return f"{_value(resource, units):,.{decimals}f} {_unit(resource)}"


def told_apart(resource: Resource, *amounts: int) -> tuple[str, ...]:
    """Return amounts with as few decimals as keep different ones different."""
    num_different = len(set(amounts))
    for decimals in range(MAX_DECIMALS + 1):
        words = tuple(told(resource, one, decimals) for one in amounts)
        if len(set(words)) == num_different:
            break
    return words


def told_to_divide(resource: Resource, total: int, part: int) -> tuple[str, str]:
    """Return a total and a part of it, precise enough to count the parts needed."""
    num_parts = -(-total // part)
    for decimals in range(MAX_DECIMALS + 1):
        whole, each = (
            Fraction(f"{_value(resource, one):.{decimals}f}") for one in (total, part)
        )
        if each and math.ceil(whole / each) == num_parts:
            break
    return told(resource, total, decimals), told(resource, part, decimals)


def _value(resource: Resource, units: int) -> float:
    value = to_reading_unit(resource, units)
    return value / BYTES_PER_MIB if resource is Resource.MEMORY else value


def _unit(resource: Resource) -> str:
    return "MiB" if resource is Resource.MEMORY else "%"
