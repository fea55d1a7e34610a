"""The GPUs that may be used."""

from __future__ import annotations

from collections.abc import Mapping

from gpupack.catalogue import find_gpu_type
from gpupack.errors import InvalidInputError
from gpupack.profile_set import ProfileSet
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
    if isinstance(gpus, int):
        pairs: list[tuple[str | GpuType, int | None]] = [
            (_measured_type(profiles), gpus)
        ]
    elif isinstance(gpus, str | GpuType):
        pairs = [(gpus, None)]
    elif isinstance(gpus, tuple):
        pairs = [gpus]
    elif isinstance(gpus, Mapping):
        pairs = list(gpus.items())
    else:
        raise InvalidInputError(
            f"gpus is {gpus!r}; give a GPU name, a GpuType, or either with a count, "
            'such as {"T4": 4}'
        )
    if not pairs:
        raise InvalidInputError("gpus names no GPU type")
    entries = []
    for named, count in pairs:
        gpu_type = find_gpu_type(named) if isinstance(named, str) else named
        if count is not None and (
            isinstance(count, bool) or not isinstance(count, int) or count < 1
        ):
            raise InvalidInputError(
                f"the number of {gpu_type.name} GPUs is {count!r}; it must be a whole "
                "number ≥ 1, or None for as many as needed"
            )
        entries.append(FleetEntry(gpu_type=gpu_type, num_gpus=count))
    names = [entry.gpu_type.name for entry in entries]
    if len(set(names)) < len(names):
        raise InvalidInputError(f"gpus names a GPU type twice: {', '.join(names)}")
    return Fleet(entries=tuple(entries))


def _measured_type(profiles: ProfileSet) -> GpuType:
    types = profiles.gpu_types
    if len(types) != 1:
        found = ", ".join(gpu_type.name for gpu_type in types) or "none"
        raise InvalidInputError(
            f"the profiles were measured on several GPU types ({found}); say which "
            "to plan for with gpus="
        )
    return types[0]
