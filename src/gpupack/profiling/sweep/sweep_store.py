"""The file of a sweep: what is done is in it, and nothing is done twice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from gpupack.errors import StoreError
from gpupack.files import AnyPath, as_path
from gpupack.profile_set import ProfileSet
from gpupack.profiling.sweep.loads import LOADS_IF_THEY_DIFFER
from gpupack.quoting import quoted
from gpupack.records.environment import SharingMode
from gpupack.records.profile import FailedLoadPoint, ProfileRecord, ServerBaseline
from gpupack.store import (
    open_profile_file,
    profile_lines,
    read_profile_file,
    record_line,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from gpupack.json_lines import JsonLinesFile
    from gpupack.profile_set import AnyRecord
    from gpupack.profiling.load import InputOptions
    from gpupack.records.calibration import Calibration
    from gpupack.records.profile import LoadPoint, ModelVariant

logger = logging.getLogger(__name__)

INPUTS_STAGE = "inputs"
"""A load point that failed here was asked for wrongly, and is tried again."""
SERVER_STAGE = "server"
"""A load point that failed here was not measured: the running server was gone."""
RETRIED_STAGES = (INPUTS_STAGE, SERVER_STAGE)

PointKey = tuple[str, "LoadPoint"]


class SweepStore:
    """Records of a sweep, in memory and, if it has a path, on the disk at once.

    Used as a context: no other sweep can write to the file meanwhile.

    Attributes:
        path: The file, None without one.
        file: The open file, None outside the context.

    Raises:
        StoreError: The file cannot be read or written, is something else than
            profiles, or another sweep writes to it.
    """

    def __init__(self, path: AnyPath | None) -> None:
        self.path = None if path is None else as_path(path)
        self._baselines: list[ServerBaseline] = []
        self._records: dict[PointKey, ProfileRecord] = {}
        self._failures: dict[PointKey, FailedLoadPoint] = {}
        self._calibrations: list[Calibration] = []
        self._with_loads: set[PointKey] = set()
        """Of the records, those of several loads."""
        self.file: JsonLinesFile | None = None

    def __enter__(self) -> Self:
        if self.path is not None:
            path = self.path
            self.file = open_profile_file(path, option="--store")
            known = self.file.resume(lambda: read_profile_file(path, recover=True))
            self._remember_all(known)
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def check_fits(self, model_names: Collection[str] | None, gpu_name: str) -> None:
        """Refuse a file that belongs to another sweep.

        Raises:
            StoreError: It has other models than these, or another GPU type.
        """
        for model_name, _ in (*self._records, *self._failures):
            if model_names is not None and model_name not in model_names:
                raise StoreError(
                    f"{quoted(str(self.path))} holds profiles of model "
                    f"{quoted(model_name)}, which is not in this sweep: give another "
                    "--store, or name that model too"
                )
        names = [record.gpu_type.name for record in self._baselines]
        names += [record.gpu_type.name for record in self._records.values()]
        names += [failure.gpu_type.name for failure in self._failures.values()]
        for name in names:
            if name != gpu_name:
                raise StoreError(
                    f"{quoted(str(self.path))} was measured on {name}, this sweep is "
                    f"on {gpu_name}: give another --store"
                )

    def check_inputs(self, inputs: InputOptions) -> None:
        """Refuse a file whose records were measured with other inputs.

        Raises:
            StoreError: One was; or InvalidInputError, if data cannot be read.
        """
        for record in self._records.values():
            difference = inputs.difference_from(record)
            if difference:
                raise StoreError(
                    f"{quoted(str(self.path))} holds {record.model_name} at "
                    f"{record.load_point}, measured with {difference}: give another "
                    "--store, or the same inputs"
                )

    def check_versions(self, versions: Mapping[str, int]) -> None:
        """Refuse a file whose records were measured of other versions.

        Raises:
            StoreError: One says so.
        """
        for record in self._records.values():
            wanted = versions.get(record.model_name, versions.get(""))
            if record.environment.measure_options and record.model_version != wanted:
                there, here = (
                    f"version {one}" if one else "the version that the server chose"
                    for one in (record.model_version, wanted)
                )
                raise StoreError(
                    f"{quoted(str(self.path))} holds {record.model_name}, measured of "
                    f"{there}, this sweep is of {here}: give another --store"
                )

    def check_sharing(self, sharing: SharingMode | None) -> None:
        """Refuse a file whose records were measured with the GPU shared another way.

        Raises:
            StoreError: One says so.
        """
        for record in self._records.values():
            there = record.environment.sharing_mode
            if sharing is None:
                # What the GPU will do is not known yet; what was asked for then, is.
                asked = record.environment.measure_options.get("sharing")
                differs = asked == SharingMode.MPS
            else:
                differs = there not in (None, sharing)
            if differs:
                raise StoreError(
                    f"{quoted(str(self.path))} was measured with the GPU shared "
                    f"through {there}, this sweep "
                    + (f"is through {sharing}" if sharing else "names no --sharing")
                    + ": give another --store, or the same --sharing"
                )

    def check_arrivals(self, load_points: Iterable[LoadPoint], arrivals: str) -> None:
        """Refuse a file where these points were measured with other arrivals.

        Args:
            load_points: Of any variant of a model.
            arrivals: As records of open loops name them.

        Raises:
            StoreError: One was.
        """
        wanted = list(load_points)
        for record in self._records.values():
            told = record.open_loop
            if (
                told is not None
                and told.arrivals != arrivals
                and any(record.load_point.is_one_of(one) for one in wanted)
            ):
                raise StoreError(
                    f"{quoted(str(self.path))} holds {record.model_name} at "
                    f"{record.load_point}, measured with {told.arrivals} arrivals, "
                    f"this sweep is with {arrivals}: give another --store, or the same "
                    "--arrivals"
                )

    def warn_of_other_options(self, options: Mapping[str, str]) -> None:
        """Say if records were measured with other options than these."""
        others = {
            f"{name} {there.get(name, 'unset')}, not {options.get(name, 'unset')}"
            for record in self._records.values()
            if (there := record.environment.measure_options)
            for name in {*there, *options}
            if there.get(name) != options.get(name)
        }
        if others:
            logger.warning(
                "%r holds load points that were measured with %s; they stay as they "
                "are: give another --store to measure them anew",
                str(self.path),
                "; ".join(sorted(others)),
            )

    @property
    def baseline(self) -> ServerBaseline | None:
        """The server-only baseline, if it was measured."""
        return self._baselines[0] if self._baselines else None

    def has(self, model_name: str, load_point: LoadPoint) -> bool:
        """Whether a load point was measured."""
        return (model_name, load_point) in self._records

    def is_finished(
        self,
        model_name: str,
        load_point: LoadPoint,
        *,
        retry_failed: bool = False,
        retry_unstable: bool = False,
        num_loads: int | None = 1,
    ) -> bool:
        """Whether a load point was measured, or failed for good.

        Args:
            model_name: The model.
            load_point: Its load point.
            retry_failed: No failure is for good.
            retry_unstable: A record that did not settle is no measurement.
            num_loads: So many loads of it are wanted; None for one, or
                ``LOADS_IF_THEY_DIFFER`` where loads of the model were seen to differ.
        """
        key = model_name, load_point
        record, failure = self._records.get(key), self._failures.get(key)
        if record is not None:
            wanted = num_loads
            if wanted is None:
                differs = self.differing(model_name, load_point.variant) is not None
                wanted = LOADS_IF_THEY_DIFFER if differs else 1
            return record.num_loads >= wanted and not (
                retry_unstable and record.is_stable is False
            )
        return (
            failure is not None
            and failure.stage not in RETRIED_STAGES
            and not retry_failed
        )

    def differing(
        self, model_name: str, variant: ModelVariant | None
    ) -> ProfileRecord | None:
        """Return a record of a model whose loads differ, None if none does."""
        for key in self._with_loads:
            record = self._records[key]
            if (
                key[0] == model_name
                and key[1].variant == variant
                and record.between_loads is not None
                and record.between_loads.do_differ
            ):
                return record
        return None

    def num_loads(self, model_name: str, load_point: LoadPoint) -> int:
        """Return how many loads of a load point were measured."""
        record = self._records.get((model_name, load_point))
        return 0 if record is None else record.num_loads

    def records_of(self, model_name: str) -> list[AnyRecord]:
        """Return what is known of one model: its records and failures."""
        records: list[AnyRecord] = [*self._records.values(), *self._failures.values()]
        return [
            one
            for one in records
            if isinstance(one, ProfileRecord | FailedLoadPoint)
            and one.model_name == model_name
        ]

    def record_of(self, model_name: str, load_point: LoadPoint) -> ProfileRecord | None:
        """Return what was measured at one load point, None if nothing was."""
        return self._records.get((model_name, load_point))

    def add(self, record: AnyRecord) -> None:
        """Keep a record; it is on the disk when this returns.

        Raises:
            StoreError: The disk is full, or the file cannot be written.
        """
        if isinstance(record, FailedLoadPoint):
            known = self._failures.get((record.model_name, record.load_point))
            if known is not None and known.message == record.message:
                return
        replaces = (
            isinstance(record, ProfileRecord)
            and (record.model_name, record.load_point) in self._records
        )
        if self.file is not None and not replaces:
            self.file.append(record_line(record))
        self._remember(record)
        if self.file is not None and replaces:
            # A file has one record of each load point.
            self.file.replace(profile_lines(self.profiles()))

    def forget_requests(
        self, model_name: str, load_points: Collection[LoadPoint]
    ) -> None:
        """Forget what was asked for wrongly, where it is not asked for any more."""
        gone = [
            key
            for key, failure in self._failures.items()
            if key[0] == model_name
            and failure.stage == INPUTS_STAGE
            and key[1] not in load_points
        ]
        for key in gone:
            del self._failures[key]
        if gone and self.file is not None:
            self.file.replace(profile_lines(self.profiles()))

    def profiles(self) -> ProfileSet:
        """Return everything that is known; a failure only if it was not mended."""
        return ProfileSet.of(
            [
                *self._baselines,
                *self._records.values(),
                *self._failures.values(),
                *self._calibrations,
            ]
        )

    def _remember(self, record: AnyRecord) -> None:
        if isinstance(record, ServerBaseline):
            self._baselines.append(record)
        elif isinstance(record, ProfileRecord):
            key = record.model_name, record.load_point
            self._records[key] = record
            if record.num_loads > 1:
                self._with_loads.add(key)
            else:
                self._with_loads.discard(key)
        elif isinstance(record, FailedLoadPoint):
            self._failures[record.model_name, record.load_point] = record
        else:
            self._calibrations.append(record)

    def _remember_all(self, known: ProfileSet) -> None:
        records: tuple[AnyRecord, ...] = (
            *known.baselines,
            *known.failures,
            *known.records,
            *known.calibrations,
        )
        for record in records:
            self._remember(record)
