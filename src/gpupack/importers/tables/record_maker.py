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
        self._loads: dict[Load, RecordTemplate[LoadPoint]] = {}
        self._variants: dict[int, ModelVariant | None] = {}
        self._distinct: dict[ModelVariant | None, ModelVariant | None] = {}
        self._templates: dict[object, RecordTemplate[ProfileRecord]] = {}
        self._kept: list[object] = []

    def load_point(self, load: Load, variant: ModelVariant | None = None) -> LoadPoint:
        """Return the load point: one object for all that are equal."""
        point = self._points.get((load, id(variant)))
        if point is None:
            same = self._same_variant(variant)
            point = self._points.get((load, id(same)))
            if point is None:
                point = self._new_point(load, same)
                self._points[load, id(same)] = point
            if same is not variant:
                self._points[load, id(variant)] = point
        return point

    def _new_point(self, load: Load, variant: ModelVariant | None) -> LoadPoint:
        template = self._loads.get(load)
        if variant is not None and template is not None:
            return template.record(variant=variant)
        point = LoadPoint(
            batch_size=load[0],
            concurrency=load[1],
            requests_per_sec=load[2],
            variant=variant,
        )
        if variant is not None:
            self._loads[load] = RecordTemplate(point, ("variant",))
        return point

    def _same_variant(self, variant: ModelVariant | None) -> ModelVariant | None:
        """Return the variant: one object for all that are equal."""
        if id(variant) not in self._variants:
            self._kept.append(variant)  # no other has its id
            self._variants[id(variant)] = self._distinct.setdefault(variant, variant)
        return self._variants[id(variant)]

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
