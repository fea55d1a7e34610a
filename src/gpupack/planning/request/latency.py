"""Which load points keep a latency limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, MissingReadingError
from gpupack.quoting import quoted
from gpupack.records.gpu import is_same_card
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.planning.request.wishes import Wishes
    from gpupack.records.gpu import Fleet, GpuType
    from gpupack.records.profile import ProfileRecord


def keeps_latency_limit(record: ProfileRecord, wishes: Wishes) -> bool:
    """Return whether a record's latency, measured alone, keeps its model's limit."""
    limit_ms = wishes.latency_limit_ms.get(record.model_name)
    if limit_ms is None:
        return True
    latency_us: float | None = getattr(
        record, f"latency_p{wishes.latency_percentile}_us"
    )
    return latency_us is not None and latency_us / 1000 <= limit_ms


def within_latency_limits(
    records: Mapping[str, tuple[ProfileRecord, ...]],
    wishes: Wishes,
    fleet: Fleet | None = None,
) -> tuple[dict[str, tuple[ProfileRecord, ...]], tuple[str, ...]]:
    """Return the records whose latency, measured alone, keeps each model's limit.

    A record without the percentile is no option where a limit is given; a warning
    names it. An optional model of which no record is left is left out, with a warning.

    Args:
        records: By model name.
        wishes: Limits, their percentile, and which models are optional.
        fleet: Only what was measured on its GPU types is warned of and complained
            about, where a model was; None for any.

    Raises:
        MissingReadingError: If no record of a limited model has the percentile.
        InfeasibleError: If none keeps the limit; names the closest.
    """
    kept = dict(records)
    warnings = []
    is_there: dict[GpuType, bool] = {}
    for name in wishes.latency_limit_ms:
        of_model = _on_fleet(records[name], fleet, is_there)
        unknown = _without_percentile(of_model, wishes)
        try:
            _require_one_in_time(name, of_model, wishes, unknown)
        except (InfeasibleError, MissingReadingError) as err:
            if name not in wishes.optional or not any(
                of_other for other, of_other in kept.items() if other != name
            ):
                raise
            del kept[name]
            warnings.append(f"optional model left out: {err}")
            continue
        kept[name] = tuple(
            one for one in records[name] if keeps_latency_limit(one, wishes)
        )
        if unknown:
            warnings.append(unknown)
    return kept, tuple(warnings)


def _on_fleet(
    records: tuple[ProfileRecord, ...],
    fleet: Fleet | None,
    is_there: dict[GpuType, bool],
) -> tuple[ProfileRecord, ...]:
    """Return the records measured on a fleet's GPU types, or all if there are none.

    Args:
        records: Of one model.
        fleet: None for any GPU types.
        is_there: Types of which it is known already whether the fleet has them.
    """
    if fleet is None:
        return records
    for gpu_type in {one.gpu_type for one in records} - is_there.keys():
        is_there[gpu_type] = any(
            is_same_card(gpu_type, entry.gpu_type) for entry in fleet.entries
        )
    here = tuple(one for one in records if is_there[one.gpu_type])
    return here or records


def _without_percentile(records: Sequence[ProfileRecord], wishes: Wishes) -> str:
    """Return in words which records cannot be judged; empty if all can."""
    percentile = wishes.latency_percentile
    field = f"latency_p{percentile}_us"
    unknown = [one for one in records if getattr(one, field) is None]
    if not unknown:
        return ""
    points = ", ".join(dict.fromkeys(str(one.load_point) for one in unknown))
    is_one = len({one.load_point for one in unknown}) == 1
    return (
        f"{points} of {quoted(unknown[0].model_name)} {'is' if is_one else 'are'} left "
        f"out: a latency limit is given, and the p{percentile} latency there is "
        f"missing ({unknown[0].missing.get(field, 'not measured')}); profile "
        f"{'it' if is_one else 'them'} again, or choose another "
        f"{setting('latency_percentile')}"
    )


def _require_one_in_time(
    name: str, records: Sequence[ProfileRecord], wishes: Wishes, unknown: str
) -> None:
    """Check that a record keeps its model's limit.

    Raises:
        MissingReadingError: If no record has the percentile.
        InfeasibleError: If none keeps the limit; names the closest.
    """
    percentile = wishes.latency_percentile
    field = f"latency_p{percentile}_us"
    measured = [
        (latency_us / 1000, one)
        for one in records
        if (latency_us := getattr(one, field)) is not None
    ]
    if not measured:
        raise MissingReadingError(
            f"a latency limit is given for {quoted(name)}, but {field} is missing at "
            f"every load point, so that none is left. {unknown}"
        )
    if any(keeps_latency_limit(one, wishes) for _, one in measured):
        return
    latency, closest = min(
        measured, key=lambda pair: (pair[0], pair[1].load_point.sort_key)
    )
    request = wishes.request
    place = None if request is None else request.place_of_wish("latency_limit_ms", name)
    where = f" ({place})" if place else ""
    suggestion = (
        f"raise the limit of {quoted(name)}{where} to {latency:g} ms, or profile "
        "smaller batch sizes and concurrencies"
    )
    raise InfeasibleError(
        f"no load point of {quoted(name)} keeps p{percentile} within "
        f"{wishes.latency_limit_ms[name]:g} ms; the closest is {closest.load_point} on "
        f"{closest.gpu_type.name} with {latency:g} ms: {suggestion}"
        + (f". Besides, {unknown}" if unknown else ""),
        model_names=(name,),
        limits=(
            f"{setting('latency_limit_ms')} of {quoted(name)}"
            if place is None
            else place,
        ),
        suggestion=suggestion,
    )
