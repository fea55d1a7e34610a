"""Which records of a model may be planned with."""

from __future__ import annotations

from collections.abc import Mapping

from gpupack.errors import InvalidInputError, MissingReadingError, UnknownNameError
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted, quoted_all
from gpupack.records.profile import LoadPoint, ProfileRecord

LoadPointLike = str | LoadPoint | Mapping[str, str | LoadPoint]
"""One load point for every model (``"2x4"``), or one by model name."""


def allowed_records(
    profiles: ProfileSet,
    load_point: LoadPointLike | None,
    *,
    allow_unstable: bool = False,
) -> dict[str, tuple[ProfileRecord, ...]]:
    """Return the records that each model may be planned with, by sorted model name.

    Args:
        profiles: Of one or several GPU types.
        load_point: The only load point allowed, of every model or by model name; one
            that names no variant allows every variant with it.
        allow_unstable: Whether a record that never settled may be used.

    Raises:
        UnknownNameError: If a mapping names a model without a profile.
        MissingReadingError: If a model has no record at the chosen load point, or
            only ones that never settled.
        InvalidInputError: If there is no profile at all, or a load point cannot be
            read.
    """
    if not profiles.records:
        raise InvalidInputError("there are no profiles: nothing to place")
    points = _points_by_model(profiles, load_point)
    allowed = {}
    for model_name in profiles.model_names:
        records = [one for one in profiles.records if one.model_name == model_name]
        point = points.get(model_name)
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
                    "allow_unstable=True"
                )
            records = settled
        allowed[model_name] = tuple(
            sorted(
                records, key=lambda one: (one.gpu_type.name, one.load_point.sort_key)
            )
        )
    return allowed


def _points_by_model(
    profiles: ProfileSet, load_point: LoadPointLike | None
) -> dict[str, LoadPoint]:
    if load_point is None:
        return {}
    if isinstance(load_point, Mapping):
        unknown = sorted(set(load_point) - set(profiles.model_names), key=str)
        if unknown:
            raise UnknownNameError(
                f"load_point names {quoted_all(unknown)}, of which there is no "
                f"profile; there are {quoted_all(profiles.model_names)}"
            )
        return {name: _parse(point) for name, point in load_point.items()}
    return dict.fromkeys(profiles.model_names, _parse(load_point))


def _parse(point: str | LoadPoint) -> LoadPoint:
    if isinstance(point, LoadPoint):
        return point
    try:
        return LoadPoint.parse(point)
    except InvalidInputError as err:
        raise InvalidInputError(f"load_point: {err}") from err
