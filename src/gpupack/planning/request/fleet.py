"""The GPUs that may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.catalogue import NAMES_BY_FAMILY
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.planning.request.places import told_where
from gpupack.quoting import listed
from gpupack.records.gpu import (
    HOST_NAME_PREFIX,
    HOST_SHARES,
    DeviceKind,
    Fleet,
    FleetEntry,
    GpuType,
    find_gpu_type,
    is_same_card,
)
from gpupack.records.request import Billing
from gpupack.spelling import setting
from gpupack.units import bytes_from_mib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profile_set import ProfileSet
    from gpupack.records.request import GpuSupply, Request


def resolve_fleet(request: Request, profiles: ProfileSet) -> Fleet:
    """Return the fleet that a request names.

    Where it names none, it is the one GPU type that the profiles were measured on.

    Raises:
        UnknownNameError: If a GPU name is not known.
        InvalidInputError: If a type is named twice, or none is and the profiles were
            measured on several.
    """
    gpus = request.gpus
    if not isinstance(gpus, dict):
        entry = FleetEntry(gpu_type=measured_type(profiles), num_gpus=gpus)
        return Fleet(entries=(entry,))
    measured = {one.name: one for one in profiles.gpu_types}
    entries = []
    for name, supply in gpus.items():
        known = measured.get(name) or _measured_variant(name, profiles)
        with told_where(request, ("gpus", name)):
            gpu_type = _gpu_type(name, supply, known)
        shares = {one: getattr(supply, one) for one in HOST_SHARES.values()}
        is_reserved = request.billing is Billing.RESERVED
        entries.append(
            FleetEntry(
                gpu_type=gpu_type.model_copy(update=shares),
                num_gpus=supply.count,
                price_per_hour=supply.reserved_price if is_reserved else supply.price,
            )
        )
    names = [entry.gpu_type.name for entry in entries]
    if len(set(names)) < len(names):
        raise InvalidInputError(
            f"{request.place_of('gpus') or 'gpus'} names a GPU type twice: "
            f"{', '.join(gpus)}"
        )
    return Fleet(entries=tuple(entries))


def _gpu_type(name: str, supply: GpuSupply, measured: GpuType | None) -> GpuType:
    """Return the type of that name: as said, as measured, or else as it is known."""
    if supply.memory_mib is not None:
        is_host = name.startswith(HOST_NAME_PREFIX)
        return GpuType(
            name=name,
            memory_bytes=bytes_from_mib(supply.memory_mib),
            kind=DeviceKind.HOST if is_host else DeviceKind.GPU,
        )
    if measured is not None and measured.memory_bytes is not None:
        return measured
    try:
        return find_gpu_type(name)
    except UnknownNameError:
        if measured is None:
            raise
        return measured


def _measured_variant(name: str, profiles: ProfileSet) -> GpuType | None:
    """Return the only measured card of a family: ``A100-80GB`` for ``A100``."""
    variants = [
        find_gpu_type(one) for one in NAMES_BY_FAMILY.get(name.strip().upper(), ())
    ]
    measured = [
        one
        for one in profiles.gpu_types
        if any(is_same_card(one, variant) for variant in variants)
    ]
    return measured[0] if len(measured) == 1 else None


def unpriced(fleet: Fleet) -> list[str]:
    """Return the names of the GPU types without a price that counts."""
    return [
        entry.gpu_type.name for entry in fleet.entries if entry.price_per_hour is None
    ]


def require_prices(fleet: Fleet, billing: Billing = Billing.ON_DEMAND) -> None:
    """Check that every GPU type has the price that counts.

    Raises:
        InvalidInputError: Naming those without, and which price it is; gpupack ships
            none.
    """
    lacking = unpriced(fleet)
    if lacking and billing is Billing.RESERVED:
        raise InvalidInputError(
            f"{setting('billing', billing.value)} counts reserved prices, and there is "
            f"no reserved price of {listed(lacking)}; give "
            f"{_way_out('reserved_prices', lacking)}, or count prices on demand: "
            f"{setting('billing', 'on_demand')}"
        )
    if lacking:
        raise InvalidInputError(
            f"planning by price needs a price per hour of {', '.join(lacking)}; give "
            f"{_way_out('prices', lacking)} (gpupack ships none, they differ by "
            "provider)"
        )


def _way_out(argument: str, lacking: Sequence[str]) -> str:
    """Return how to give the prices that are missing."""
    prices = ", ".join(f'"{name}": ...' for name in lacking)
    return setting(argument, python=f"{{{prices}}}", shell=f"{lacking[0]}=PRICE")


def measured_type(profiles: ProfileSet) -> GpuType:
    """Return the one GPU type that the profiles were measured on.

    Raises:
        InvalidInputError: If there are several, or none.
    """
    types = profiles.gpu_types
    if not profiles.records:
        raise InvalidInputError("there are no profiles: nothing to place")
    if len(types) != 1:
        found = ", ".join(gpu_type.name for gpu_type in types) or "none"
        raise InvalidInputError(
            f"the profiles were measured on several GPU types ({found}); say which "
            f"to plan for with {setting('gpus', types[0].name if types else 'T4')}"
        )
    return types[0]
