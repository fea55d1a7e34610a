"""Throughput and latency over concurrency: what the profile curves show."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.records.profile import LoadPoint, ProfileRecord

LATENCY_FIELDS = (
    ("latency_p99_us", "p99 latency"),
    ("latency_p95_us", "p95 latency"),
    ("latency_p90_us", "p90 latency"),
    ("latency_p50_us", "median latency"),
    ("latency_mean_us", "mean latency"),
)
"""Which latency is drawn: the first that every record of the model has."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One load point of a model."""

    concurrency: int
    throughput_infer_per_sec: float | None
    throughput_ci_ratio: float | None
    latency_ms: float | None
    is_stable: bool | None
    is_chosen: bool
    """Whether a placement runs the model at this load point."""


@dataclass(frozen=True, slots=True)
class BatchCurve:
    """All load points of one batch size and variant, by concurrency."""

    batch_size: int
    variant_name: str | None
    """None where the model was measured in one configuration only."""
    points: tuple[CurvePoint, ...]

    @property
    def title(self) -> str:
        """Batch size and, where there are several, the variant."""
        title = f"batch size {self.batch_size}"
        return title if self.variant_name is None else f"{self.variant_name}, {title}"


@dataclass(frozen=True, slots=True)
class ModelCurves:
    """One model on one GPU type."""

    model_name: str
    gpu_type_name: str
    latency_title: str | None
    """Which latency it is; None if none was measured at every load point."""
    batches: tuple[BatchCurve, ...]

    @property
    def num_points(self) -> int:
        """Load points in all."""
        return sum(len(batch.points) for batch in self.batches)

    @property
    def concurrencies(self) -> tuple[int, ...]:
        """Every measured concurrency, ascending."""
        found = {point.concurrency for one in self.batches for point in one.points}
        return tuple(sorted(found))


def model_curves(
    records: Iterable[ProfileRecord],
    chosen: Iterable[tuple[str, LoadPoint]] = (),
) -> tuple[ModelCurves, ...]:
    """Return the curves of every model and GPU type, by name.

    Args:
        records: Profile records of any models.
        chosen: Model names with the load points that are to be marked.
    """
    marked = set(chosen)
    groups: dict[tuple[str, str], list[ProfileRecord]] = defaultdict(list)
    for record in records:
        groups[record.model_name, record.gpu_type.name].append(record)
    return tuple(_curves(groups[key], marked) for key in sorted(groups))


def _curves(
    records: Sequence[ProfileRecord], marked: set[tuple[str, LoadPoint]]
) -> ModelCurves:
    field, title = next(
        (
            (field, title)
            for field, title in LATENCY_FIELDS
            if all(getattr(record, field) is not None for record in records)
        ),
        (None, None),
    )
    batches: dict[tuple[int, str], list[ProfileRecord]] = defaultdict(list)
    for record in records:
        point = record.load_point
        variant = "" if point.variant is None else str(point.variant)
        if point.concurrency is not None:  # at a rate it has no place on the axis
            batches[point.batch_size, variant].append(record)
    has_one_variant = len({variant for _, variant in batches}) <= 1
    return ModelCurves(
        model_name=records[0].model_name,
        gpu_type_name=records[0].gpu_type.name,
        latency_title=title,
        batches=tuple(
            BatchCurve(
                batch_size=batch_size,
                variant_name=None if has_one_variant else variant,
                points=tuple(
                    CurvePoint(
                        concurrency=record.load_point.in_flight,
                        throughput_infer_per_sec=record.throughput_infer_per_sec,
                        throughput_ci_ratio=record.throughput_ci_ratio,
                        latency_ms=(
                            None if field is None else getattr(record, field) / 1000
                        ),
                        is_stable=record.is_stable,
                        is_chosen=(record.model_name, record.load_point) in marked,
                    )
                    for record in sorted(
                        batches[batch_size, variant],
                        key=lambda one: one.load_point.sort_key,
                    )
                ),
            )
            for batch_size, variant in sorted(batches)
        ),
    )
