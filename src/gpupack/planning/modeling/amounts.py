"""Amounts of a resource in words, as precise as what is said of them needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from gpupack.planning.modeling.sizes import to_reading_unit
from gpupack.records.gpu import Resource, ResourceUnit
from gpupack.units import BYTES_PER_GB, BYTES_PER_GIB, BYTES_PER_MIB

MAX_DECIMALS = 9
"""Percents and cores are counted in billionths; a byte has six in MiB."""
_TOLD = {
    ResourceUnit.BYTES: ("MiB", 0),
    ResourceUnit.PERCENT: ("%", 1),
    ResourceUnit.CORES: ("cores", 2),
}
"""Unit and decimals, as a rule."""


def amount_in_words(resource: Resource, amount: float) -> str:
    """Return an amount in the resource's unit, as an option takes it: 8, 64GiB."""
    if resource.unit is not ResourceUnit.BYTES:
        return f"{amount:g}"
    gib, gb = amount / BYTES_PER_GIB, amount / BYTES_PER_GB
    return f"{gb:g}GB" if gb == round(gb) != round(gib) else f"{gib:g}GiB"


def told_apart(resource: Resource, *amounts: int) -> tuple[str, ...]:
    """Return amounts with as few decimals as keep different ones different."""
    num_different = len(set(amounts))
    return _told(resource, amounts, lambda told: len(set(told)) == num_different)


def told_up(resource: Resource, amount: int) -> str:
    """Return an amount, rounded up to what people would give a GPU of it."""
    value = to_reading_unit(resource, amount)
    if resource.unit is ResourceUnit.BYTES:
        return f"{math.ceil(value / BYTES_PER_GIB):,}GiB"
    return f"{math.ceil(value * 10 - 1e-9) / 10:g}"


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
    """Return amounts in MiB, tenths of a percent or cores, or finer if need be."""
    unit, least = _TOLD[resource.unit]
    divisor = BYTES_PER_MIB if resource.unit is ResourceUnit.BYTES else 1
    values = [to_reading_unit(resource, one) / divisor for one in amounts]
    for decimals in range(least, MAX_DECIMALS + 1):
        texts = [f"{value:,.{decimals}f}" for value in values]
        if is_enough([Fraction(text.replace(",", "")) for text in texts]):
            break
    return tuple(f"{_without_zeros(text)} {unit}" for text in texts)


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
