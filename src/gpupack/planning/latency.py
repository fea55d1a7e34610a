"""Which load points keep a latency limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError, MissingReadingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.planning.wishes import Wishes
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
    records: Mapping[str, tuple[ProfileRecord, ...]], wishes: Wishes
) -> dict[str, tuple[ProfileRecord, ...]]:
    """Return the records whose latency, measured alone, keeps each model's limit.

    A record without the percentile is no option where a limit is given.

    Raises:
        MissingReadingError: If no record of a limited model has the percentile.
        InfeasibleError: If none keeps the limit; names the closest.
    """
    field = f"latency_p{wishes.latency_percentile}_us"
    kept = dict(records)
    for name, limit_ms in wishes.latency_limit_ms.items():
        measured = [
            (latency_us / 1000, one)
            for one in records[name]
            if (latency_us := getattr(one, field)) is not None
        ]
        if not measured:
            reason = records[name][0].missing.get(field, "not measured")
            raise MissingReadingError(
                f"a latency limit is given for {name!r}, but {field} is missing: "
                f"{reason}; choose another latency_percentile, or profile the model"
            )
        kept[name] = tuple(
            one for _, one in measured if keeps_latency_limit(one, wishes)
        )
        if not kept[name]:
            latency, closest = min(
                measured, key=lambda pair: (pair[0], pair[1].load_point.sort_key)
            )
            suggestion = (
                f"raise the limit of {name!r} to {latency:g} ms, or profile smaller "
                "batch sizes and concurrencies"
            )
            raise InfeasibleError(
                f"no load point of {name!r} keeps p{wishes.latency_percentile} within "
                f"{limit_ms:g} ms; the closest is {closest.load_point} on "
                f"{closest.gpu_type.name} with {latency:g} ms: {suggestion}",
                model_names=(name,),
                limits=(f"latency_limit_ms of {name!r}",),
                suggestion=suggestion,
            )
    return kept
