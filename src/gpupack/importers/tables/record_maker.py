"""Records from values: what many rows have in common is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.profile import LoadPoint, ModelVariant, ProfileRecord
from gpupack.records.record import RecordTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.importers.tables.loads import Load
    from gpupack.records.environment import Environment
    from gpupack.records.gpu import GpuType


class RecordMaker:
    """Makes profile records of one source.

    Args:
        reason: Why a reading is missing, where nothing else is said.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._points: dict[tuple[Load, int], LoadPoint] = {}
        self._variants: dict[int, ModelVariant | None] = {}
        self._distinct: dict[ModelVariant | None, ModelVariant | None] = {}
        self._templates: dict[object, RecordTemplate[ProfileRecord]] = {}
        self._kept: list[object] = []

    def load_point(self, load: Load, variant: ModelVariant | None = None) -> LoadPoint:
        """Return the load point: one object for all that are equal."""
        if id(variant) not in self._variants:
            self._kept.append(variant)
            self._variants[id(variant)] = self._distinct.setdefault(variant, variant)
        variant = self._variants[id(variant)]
        key = (load, id(variant))
        point = self._points.get(key)
        if point is None:
            point = LoadPoint(
                batch_size=load[0],
                concurrency=load[1],
                requests_per_sec=load[2],
                variant=variant,
            )
            self._points[key] = point
        return point

    def record(
        self,
        *,
        model_name: str,
        load_point: LoadPoint,
        gpu_type: GpuType,
        environment: Environment,
        values: Mapping[str, float | int],
        missing: Mapping[str, str],
        warnings: tuple[str, ...] = (),
    ) -> ProfileRecord:
        """Return a record of the readings in ``values``.

        Raises:
            ValidationError: If a value is out of range.
        """
        key = (
            tuple(values),
            tuple(missing.items()),
            id(gpu_type),
            id(environment),
            warnings,
        )
        template = self._templates.get(key)
        if template is not None:
            return template.record(
                model_name=model_name, load_point=load_point, **values
            )
        further: dict[str, object] = {"warnings": warnings} if warnings else {}
        record = ProfileRecord(
            model_name=model_name,
            load_point=load_point,
            gpu_type=gpu_type,
            environment=environment,
            missing={
                name: missing.get(name, self._reason)
                for name in ProfileRecord.readings()
                if name not in values
            },
            **values,
            **further,
        )
        self._kept += [gpu_type, environment]  # no other has their id
        self._templates[key] = RecordTemplate(
            record, ("model_name", "load_point", *values)
        )
        return record
