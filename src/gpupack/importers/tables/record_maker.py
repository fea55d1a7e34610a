"""Records from values: what many rows have in common is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.profile import LoadPoint, ModelVariant, ProfileRecord

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
        self._points: dict[tuple[Load, ModelVariant | None], LoadPoint] = {}
        self._missing: dict[object, dict[str, str]] = {}
        self._last_missing: Mapping[str, str] | None = None
        self._last_present: tuple[str, ...] = ()
        self._last_reasons: dict[str, str] = {}

    def _reasons(
        self, present: tuple[str, ...], missing: Mapping[str, str]
    ) -> dict[str, str]:
        key = (present, tuple(missing.items()))
        if key not in self._missing:
            self._missing[key] = {
                name: missing.get(name, self._reason)
                for name in ProfileRecord.readings()
                if name not in present
            }
        return self._missing[key]

    def load_point(self, load: Load, variant: ModelVariant | None = None) -> LoadPoint:
        """Return the load point, the same one for the same load and variant."""
        key = (load, variant)
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
        present = tuple(values)
        if missing is self._last_missing and present == self._last_present:
            reasons = self._last_reasons
        else:
            reasons = self._reasons(present, missing)
            self._last_missing, self._last_present = missing, present
            self._last_reasons = reasons
        further: dict[str, object] = {"warnings": warnings} if warnings else {}
        return ProfileRecord(
            model_name=model_name,
            load_point=load_point,
            gpu_type=gpu_type,
            environment=environment,
            missing=reasons,
            **values,
            **further,
        )
