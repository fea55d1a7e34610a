"""The one store of a sweep over several GPU types, written by one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from gpupack.files import AnyPath, as_path
from gpupack.profile_set import ProfileSet
from gpupack.profiling.sweep import SweepStore
from gpupack.records.calibration import Calibration
from gpupack.records.profile import ProfileRecord
from gpupack.store import (
    open_profile_file,
    profile_lines,
    read_profile_file,
    record_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.json_lines import JsonLinesFile
    from gpupack.profile_set import AnyRecord
    from gpupack.records.profile import (
        FailedLoadPoint,
        LoadPoint,
        ServerBaseline,
    )


class ClusterStore:
    """Records of a sweep by GPU type, in memory and, with a path, on the disk at once.

    Used as a context: no other sweep can write to the file meanwhile.

    Raises:
        StoreError: The file cannot be read or written, is something else than
            profiles, or another sweep writes to it.
    """

    def __init__(self, path: AnyPath | None) -> None:
        self.path = None if path is None else as_path(path)
        self.file: JsonLinesFile | None = None
        self._by_type: dict[str, SweepStore] = {}
        self._calibrations: list[Calibration] = []

    def __enter__(self) -> Self:
        if self.path is not None:
            path = self.path
            self.file = open_profile_file(path, option="--store")
            known = self.file.resume(lambda: read_profile_file(path, recover=True))
            for one in _all(known):
                self.of(one.gpu_type.name).add(one)
            self._calibrations = [*known.calibrations]
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def of(self, gpu_name: str) -> SweepStore:
        """Return what is known of one GPU type; it knows the file, and leaves it be."""
        if gpu_name not in self._by_type:
            self._by_type[gpu_name] = SweepStore(self.path)
        return self._by_type[gpu_name]

    def check(self, check_one: Callable[[SweepStore, str], None]) -> None:
        """Check what is known of each GPU type.

        Raises:
            StoreError: If one belongs to another sweep.
        """
        for name, store in self._by_type.items():
            check_one(store, name)

    def add(self, record: ProfileRecord | FailedLoadPoint | ServerBaseline) -> None:
        """Keep a record; it is on the disk when this returns.

        Raises:
            StoreError: The disk is full, or the file cannot be written.
        """
        store = self.of(record.gpu_type.name)
        replaces = isinstance(record, ProfileRecord) and store.has(
            record.model_name, record.load_point
        )
        if self.file is not None and not replaces:
            self.file.append(record_line(record))
        store.add(record)
        if self.file is not None and replaces:
            self.file.replace(profile_lines(self.profiles()))

    def lines_about(self, gpu_name: str, model_name: str) -> list[str]:
        """Return the lines about a model on a GPU type."""
        profiles = self.of(gpu_name).profiles()
        of_model: list[ProfileRecord | FailedLoadPoint] = [
            one for one in profiles.records if one.model_name == model_name
        ]
        of_model += [one for one in profiles.failures if one.model_name == model_name]
        return list(map(record_line, of_model))

    def is_finished(
        self,
        gpu_name: str,
        model_name: str,
        point: LoadPoint,
        *,
        retry_failed: bool,
        retry_unstable: bool,
        num_loads: int | None = 1,
    ) -> bool:
        """Whether a load point was measured on a GPU type, or failed for good."""
        return self.of(gpu_name).is_finished(
            model_name,
            point,
            retry_failed=retry_failed,
            retry_unstable=retry_unstable,
            num_loads=num_loads,
        )

    def profiles(self) -> ProfileSet:
        """Return everything that is known."""
        records: list[AnyRecord] = [*self._calibrations]
        for store in self._by_type.values():
            records += _all(store.profiles())
        return ProfileSet.of(records)


def _all(
    profiles: ProfileSet,
) -> list[ServerBaseline | ProfileRecord | FailedLoadPoint]:
    """Return what is of one GPU type each: baselines, failures, records."""
    found: list[ServerBaseline | ProfileRecord | FailedLoadPoint] = []
    found += profiles.baselines
    found += profiles.failures
    found += profiles.records
    return found
