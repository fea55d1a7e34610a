"""The GPU behind a server on another host: known by name, read by nobody here."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING

from gpupack.profiling.devices.device import DEFAULT_INTERVAL_S, DeviceReadings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gpupack.records.gpu import GpuType

_REASON = "the server is on another host, whose GPU cannot be read from here"


class RemoteDevice:
    """Stands for a GPU that cannot be reached; every reading is missing."""

    def __init__(self, gpu_type: GpuType) -> None:
        self._gpu_type = gpu_type

    @property
    def gpu_type(self) -> GpuType:
        """The type the caller named."""
        return self._gpu_type

    def environment_fields(self) -> dict[str, object]:
        """Return nothing: nothing is known."""
        return {}

    def foreign_processes(self, own_pids: Collection[int]) -> tuple[str, ...]:
        """Return nothing: they cannot be seen."""
        return ()

    def near_cores(self) -> frozenset[int]:
        """Return nothing: no bus is between."""
        return frozenset()

    def memory_used_bytes(self) -> int | None:
        """Return None."""
        return None

    @contextmanager
    def sampler(
        self, *, interval_s: float = DEFAULT_INTERVAL_S
    ) -> Iterator[RemoteSampler]:
        """Return a context that reads nothing."""
        yield RemoteSampler()


class RemoteSampler:
    """Has the one reason for every reading."""

    def reset(self) -> None:
        """Do nothing."""

    def readings(self) -> DeviceReadings:
        """Return readings that are all missing."""
        names = [field.name for field in fields(DeviceReadings)]
        return DeviceReadings(
            missing={name: _REASON for name in names if name != "missing"}
        )
