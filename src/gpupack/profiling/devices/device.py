"""What a measurement asks of the device it watches, GPU or host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gpupack.profiling.devices.clocks import ClockReadings

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from gpupack.records.gpu import GpuType

DEFAULT_INTERVAL_S = 0.02
"""How often a sampler reads, unless told otherwise."""


@dataclass(frozen=True)
class DeviceReadings:
    """What the device said over one measurement.

    Maxima unless the name says mean; SM, DRAM and tensor figures are means between
    the two ends (NVML GPM). A reading that cannot be had is None, and ``missing``
    names the reason under the same field name.
    """

    gpu_utilization_percent: float | None = None
    gpu_utilization_mean_percent: float | None = None
    memory_utilization_percent: float | None = None
    memory_utilization_mean_percent: float | None = None
    memory_used_bytes: int | None = None
    sm_utilization_percent: float | None = None
    sm_occupancy_percent: float | None = None
    dram_bandwidth_percent: float | None = None
    tensor_activity_percent: float | None = None
    power_mean_watts: float | None = None
    energy_joules: float | None = None
    missing: dict[str, str] = field(default_factory=dict)
    clocks: ClockReadings = field(default_factory=ClockReadings)


class Sampler(Protocol):
    """Reads a device beside a measurement, from a thread or process of its own."""

    def reset(self) -> None:
        """Forget what was read so far: a measurement begins now."""
        ...

    def readings(self) -> DeviceReadings:
        """Return what was read since entering, or since the last ``reset``."""
        ...


class Device(Protocol):
    """One GPU, one MIG device, or the host standing in for a GPU."""

    @property
    def gpu_type(self) -> GpuType:
        """What packing needs to know about the device."""
        ...

    def environment_fields(self) -> dict[str, object]:
        """Return the fields of ``Environment`` that the device knows."""
        ...

    def foreign_processes(self, own_pids: Collection[int]) -> tuple[str, ...]:
        """Return processes on the device that are none of ``own_pids``, in words.

        ``own_pids`` are roots: their descendants are no strangers either.
        """
        ...

    def near_cores(self) -> frozenset[int]:
        """Return the host's cores that its bus is attached to; none where unknown."""
        ...

    def memory_used_bytes(self) -> int | None:
        """Return the memory in use now, None where it cannot be read."""
        ...

    def sampler(
        self, *, interval_s: float = DEFAULT_INTERVAL_S
    ) -> AbstractContextManager[Sampler]:
        """Return a context in which the device is read every ``interval_s``."""
        ...
