"""Which records of a model may be planned with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.quoting import quoted
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import LoadPoint, ProfileRecord


def allowed_records(
    profiles: ProfileSet,
    pinned: Mapping[str, LoadPoint],
    *,
    allow_unstable: bool = False,
) -> dict[str, tuple[ProfileRecord, ...]]:
    """Return the records that each model may be planned with, by sorted model name.

    Args:
        profiles: Of one or several GPU types.
        pinned: The only load point allowed, by model name; one that names no variant
            allows every variant with it.
        allow_unstable: Whether a record that never settled may be used.

    Raises:
        MissingReadingError: If a model has no record at the chosen load point, or
            only ones that never settled.
        InvalidInputError: If there is no profile at all.
    """
    if not profiles.records:
        raise InvalidInputError("there are no profiles: nothing to place")
    by_name: dict[str, list[ProfileRecord]] = {}
    for record in profiles.records:
        by_name.setdefault(record.model_name, []).append(record)
    allowed = {}
    for model_name in sorted(by_name):
        records = by_name[model_name]
        point = pinned.get(model_name)
        if point is not None:
            measured = ", ".join(
                dict.fromkeys(str(record.load_point) for record in records)
            )
            records = [one for one in records if one.load_point.is_one_of(point)]
            if not records:
                raise MissingReadingError(
                    f"model {quoted(model_name)} was not measured at load point "
                    f"{point}; it was at {measured}"
                )
        if not allow_unstable:
            settled = [one for one in records if one.is_stable is not False]
            if not settled:
                raise MissingReadingError(
                    f"the measurement of model {quoted(model_name)} at "
                    f"{', '.join(str(record.load_point) for record in records)} never "
                    "settled; measure it again, or use it all the same with "
                    f"{setting('allow_unstable', True)}"
                )
            records = settled
        if len(records) > 1:
            records = sorted(
                records, key=lambda one: (one.gpu_type.name, one.load_point.sort_key)
            )
        allowed[model_name] = tuple(records)
    return allowed
