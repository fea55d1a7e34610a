"""Average utilization where a source gives no highest one.

Model Analyzer and perf_analyzer report how busy a GPU was on average while a model was
driven, and nothing of its memory's utilization. For a given traffic that is enough: an
instance takes its share of the average. A promise that no model loses throughput is
not made of averages, so ``max_throughput`` still asks for the highest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.gpu import Headroom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.records.profile import ProfileRecord

_HIGHEST = "gpu_utilization_percent"


def with_averages(
    records: Mapping[str, tuple[ProfileRecord, ...]],
) -> tuple[dict[str, tuple[ProfileRecord, ...]], tuple[str, ...]]:
    """Return records whose average stands in for a highest that is missing.

    Args:
        records: By model name.

    Returns:
        The records, and a warning that names the models.
    """
    names = [
        name
        for name, of_model in records.items()
        if any(_lacks_highest(record) for record in of_model)
    ]
    if not names:
        return dict(records), ()
    filled = {
        name: tuple(
            _filled(record) if _lacks_highest(record) else record for record in of_model
        )
        for name, of_model in records.items()
    }
    return filled, (
        f"of {', '.join(map(repr, names))} the average GPU utilization is known, not "
        "the highest; the average counts",
    )


def without_unmeasured(
    headroom: Headroom, records: Mapping[str, tuple[ProfileRecord, ...]]
) -> tuple[Headroom, tuple[str, ...]]:
    """Return the headroom without a memory utilization that nobody measured.

    Only where GPU utilization binds and is known, which is the larger of the two.
    """
    every = [record for of_model in records.values() for record in of_model]
    if (
        headroom.memory_utilization is None
        or headroom.gpu_utilization is None
        or any(one.memory_utilization_percent is not None for one in every)
        or any(one.gpu_utilization_percent is None for one in every)
    ):
        return headroom, ()
    kept = headroom.model_copy(update={"memory_utilization": None})
    return kept, (
        "memory utilization does not bind: no profile has it "
        f"({every[0].missing.get('memory_utilization_percent', 'not measured')}), and "
        "a GPU is busy whenever its memory is read",
    )


def _lacks_highest(record: ProfileRecord) -> bool:
    return (
        record.gpu_utilization_percent is None
        and record.gpu_utilization_mean_percent is not None
    )


def _filled(record: ProfileRecord) -> ProfileRecord:
    missing = {key: why for key, why in record.missing.items() if key != _HIGHEST}
    return record.model_copy(
        update={_HIGHEST: record.gpu_utilization_mean_percent, "missing": missing}
    )
