"""The GPUs that may be used."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gpupack.arguments import by_name, require_kind
from gpupack.catalogue import find_gpu_type
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.given_numbers import real_number, whole_number
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.gpu import Fleet, FleetEntry, GpuType

GpusLike = (
    str
    | GpuType
    | int
    | tuple[str | GpuType, int | None]
    | Mapping[str, int | None]
    | Mapping[GpuType, int | None]
    | Fleet
)
"""One GPU type without limit; a number of the type measured on; a type with a
count; counts by type; or a whole fleet."""


MIN_PRICE = 1e-6
MAX_PRICE = 1e9
"""Prices per GPU and hour; they are counted in millionths."""


def resolve_fleet(gpus: GpusLike | None, profiles: ProfileSet) -> Fleet:
    """Return the fleet that ``gpus`` stands for.

    Left out, it is the one GPU type that the profiles were measured on.

    Raises:
        UnknownNameError: If a GPU name is not known.
        InvalidInputError: If a count is no whole number ≥ 1, no type is given, or
            it is left out and the profiles were measured on several.
    """
    if isinstance(gpus, Fleet):
        return gpus
    if gpus is None:
        return Fleet(entries=(FleetEntry(gpu_type=_measured_type(profiles)),))
    if isinstance(gpus, bool):
        raise InvalidInputError(f"gpus is {gpus}; give a GPU name or a count")
    number = whole_number(gpus)
    if number is not None:
        pairs: list[tuple[str | GpuType, int | None]] = [
            (_measured_type(profiles), number)
        ]
    elif isinstance(gpus, str | GpuType):
        pairs = [(gpus, None)]
    elif isinstance(gpus, tuple) and len(gpus) == 2:
        pairs = [gpus]
    elif isinstance(gpus, Mapping):
        pairs = list(gpus.items())
    else:
        raise InvalidInputError(
            f"gpus is {quoted(gpus)}; give a GPU name, a GpuType, or either with a "
            'count, such as {"T4": 4}'
        )
    if not pairs:
        raise InvalidInputError("gpus names no GPU type")
    entries = []
    for named, count in pairs:
        require_kind("a GPU type in gpus", named, (str, GpuType), "a name or a GpuType")
        gpu_type = _named_type(named, profiles) if isinstance(named, str) else named
        number = None if count is None else whole_number(count)
        if count is not None and (number is None or number < 1):
            raise InvalidInputError(
                f"the number of {gpu_type.name} GPUs is {quoted(count)}; it must be a "
                "whole number ≥ 1, or None for as many as needed"
            )
        entries.append(FleetEntry(gpu_type=gpu_type, num_gpus=number))
    names = [entry.gpu_type.name for entry in entries]
    if len(set(names)) < len(names):
        raise InvalidInputError(f"gpus names a GPU type twice: {', '.join(names)}")
    return Fleet(entries=tuple(entries))


def _named_type(name: str, profiles: ProfileSet) -> GpuType:
    """Return the type of that name that was measured on, or else the catalogue's."""
    for gpu_type in profiles.gpu_types:
        if gpu_type.name == name and gpu_type.memory_bytes is not None:
            return gpu_type
    return find_gpu_type(name)


def with_prices(fleet: Fleet, prices: Mapping[str, float] | None) -> Fleet:
    """Return the fleet with the caller's prices per GPU and hour.

    Args:
        fleet: May have prices of its own, which ``prices`` replaces.
        prices: By the name of the GPU type, as in the fleet or the catalogue.

    Raises:
        UnknownNameError: If a price is of a type that is not in the fleet.
        InvalidInputError: If a price is not a finite number > 0.
    """
    if prices is None:
        return fleet
    entries = {entry.gpu_type.name: entry for entry in fleet.entries}
    for name, price in by_name("prices", prices, '{"L4": 0.71}').items():
        folded = {known.casefold(): known for known in entries}
        known = folded.get(name.strip().casefold())
        if known is None:
            raise UnknownNameError(
                f"a price is given for {quoted(name)}, which is not among the GPUs: "
                f"{', '.join(entries)}"
            )
        number = real_number(price)
        if number is None:
            raise InvalidInputError(_no_price(known, price))
        _require_sane_price(known, number)
        entries[known] = entries[known].model_copy(update={"price_per_hour": number})
    return Fleet(entries=tuple(entries.values()))


def require_prices(fleet: Fleet) -> None:
    """Check that every GPU type has a price.

    Raises:
        InvalidInputError: Naming those without, gpupack ships no prices; or one that
            costs nothing, of which a plan could take any number.
    """
    lacking = [
        entry.gpu_type.name for entry in fleet.entries if entry.price_per_hour is None
    ]
    if lacking:
        example = ", ".join(f'"{name}": ...' for name in lacking)
        raise InvalidInputError(
            f"planning by price needs a price per hour of {', '.join(lacking)}; give "
            f"prices={{{example}}} (--price {lacking[0]}=...; gpupack ships none, they "
            "differ by provider)"
        )
    for entry in fleet.entries:
        if entry.price_per_hour is not None:
            _require_sane_price(entry.gpu_type.name, entry.price_per_hour)


def _require_sane_price(name: str, price: float) -> None:
    if not math.isfinite(price) or price <= 0:
        raise InvalidInputError(_no_price(name, price or 0))
    if not MIN_PRICE <= price <= MAX_PRICE:
        raise InvalidInputError(
            f"the price of {name} is {price:g} per GPU and hour; from {MIN_PRICE:f} to "
            f"{MAX_PRICE:,.0f} it is taken for one, beyond that for a wrong unit"
        )


def _no_price(name: str, price: object) -> str:
    return (
        f"the price of {name} is {quoted(price)}; it must be a finite number > 0, per "
        "GPU and hour. Give GPUs that cost nothing a small one, such as 0.01"
    )


def _measured_type(profiles: ProfileSet) -> GpuType:
    types = profiles.gpu_types
    if len(types) != 1:
        found = ", ".join(gpu_type.name for gpu_type in types) or "none"
        raise InvalidInputError(
            f"the profiles were measured on several GPU types ({found}); say which "
            "to plan for with gpus="
        )
    return types[0]
