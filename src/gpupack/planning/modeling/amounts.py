"""Amounts of a resource in words, as precise as what is said of them needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from gpupack.planning.modeling.sizes import to_reading_unit
from gpupack.records.gpu import Resource
from gpupack.units import BYTES_PER_MIB

MAX_DECIMALS = 9
"""Utilizations are counted in billionths of a percent; a byte has six in MiB."""


def told_apart(resource: Resource, *amounts: int) -> tuple[str, ...]:
    """Return amounts with as few decimals as keep different ones different."""
    num_different = len(set(amounts))
    return _told(resource, amounts, lambda told: len(set(told)) == num_different)


def told_to_divide(resource: Resource, total: int, part: int) -> tuple[str, ...]:
    """Return a total and a part of it, precise enough to count the parts needed."""
    num_parts = -(-total // part)

    def is_enough(told: Sequence[Fraction]) -> bool:
        whole, each = told
        return each > 0 and math.ceil(whole / each) == num_parts

    return _told(resource, (total, part), is_enough)


def _told(
    resource: Resource,
    amounts: Sequence[int],
    is_enough: Callable[[Sequence[Fraction]], bool],
) -> tuple[str, ...]:
    """Return amounts in MiB, or in tenths of a percent, or finer if need be."""
    is_memory = resource is Resource.MEMORY
    values = [
        to_reading_unit(resource, one) / (BYTES_PER_MIB if is_memory else 1)
        for one in amounts
    ]
    for decimals in range(0 if is_memory else 1, MAX_DECIMALS + 1):
        texts = [f"{value:,.{decimals}f}" for value in values]
        if is_enough([Fraction(text.replace(",", "")) for text in texts]):
            break
    unit = "MiB" if is_memory else "%"
    return tuple(f"{_without_zeros(text)} {unit}" for text in texts)


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
