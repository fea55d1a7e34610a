"""GPU types, fleets of them, and the share of each that may be used."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from gpupack.catalogue import MEMORY_MIB_BY_NAME, find_card
from gpupack.errors import MissingReadingError
from gpupack.quoting import quoted
from gpupack.records.record import Record
from gpupack.spelling import setting
from gpupack.units import NumBytes, bytes_from_mib

if TYPE_CHECKING:
    from collections.abc import Iterator


class ResourceUnit(StrEnum):
    """What a resource is counted in."""

    BYTES = "bytes"
    PERCENT = "percent"
    CORES = "cores"


class Resource(StrEnum):
    """What a GPU, or its share of its host, can run out of."""

    unit: ResourceUnit
    """What it is counted in."""
    reading_name: str
    """What a profile record calls its reading of it."""
    is_held: bool
    """Whether a loaded model holds it whatever its traffic, as it does memory.

    Of the others it takes its share of the time, in proportion to the traffic.
    """
    is_of_host: bool
    """Whether it is the host's, and binds only where a GPU's share is said."""
    words: str
    """What people call it, in the middle of a sentence."""

    def __new__(
        cls, value: str, unit: ResourceUnit, reading_name: str, words: str
    ) -> Self:
        """Make a member of its name, its unit, its reading's name, and its words."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.unit = unit
        member.reading_name = reading_name
        member.is_held = unit is ResourceUnit.BYTES
        member.is_of_host = value.startswith("host_")
        member.words = words
        return member

    MEMORY = "memory", ResourceUnit.BYTES, "gpu_memory_used_bytes", "memory"
    """Device memory, in bytes."""
    GPU_UTILIZATION = (
        "gpu_utilization",
        ResourceUnit.PERCENT,
        "gpu_utilization_percent",
        "GPU utilization",
    )
    """Share of time with at least one kernel running (NVML), in percent."""
    MEMORY_UTILIZATION = (
        "memory_utilization",
        ResourceUnit.PERCENT,
        "memory_utilization_percent",
        "memory utilization",
    )
    """Share of time device memory was read or written (NVML), in percent."""
    SM_UTILIZATION = (
        "sm_utilization",
        ResourceUnit.PERCENT,
        "sm_utilization_percent",
        "SM utilization",
    )
    """Share of the streaming multiprocessors in use (NVML GPM), in percent."""
    HOST_CPU = "host_cpu", ResourceUnit.CORES, "host_cpu_cores", "host CPU"
    """Processor time of the host that the models' server takes, in cores."""
    HOST_MEMORY = "host_memory", ResourceUnit.BYTES, "host_memory_bytes", "host memory"
    """Main memory of the host that the models' server holds, in bytes."""

    @property
    def server_reading_name(self) -> str | None:
        """What a baseline calls what the server alone holds; None if it holds none."""
        return self.reading_name if self.is_held else None


HOST_SHARES = {
    Resource.HOST_CPU: "host_cpus_per_gpu",
    Resource.HOST_MEMORY: "host_memory_per_gpu",
}
"""What a GPU type calls its share of its host's resources."""


class DeviceKind(StrEnum):
    """What a record was measured on."""

    GPU = "gpu"
    HOST = "host"
    """No GPU: the host's CPUs and main memory stand in for one."""


HOST_NAME_PREFIX = "host, "
"""Begins the name of every type of kind ``HOST``, so that tables keep the kind."""


class GpuType(Record):
    """A kind of GPU, as far as packing needs to know it."""

    name: str = Field(min_length=1)
    memory_bytes: Annotated[NumBytes, Field(gt=0)] | None = None
    """What NVML reports as the device's total memory; None if the source is silent."""
    kind: DeviceKind = DeviceKind.GPU
    host_cpus_per_gpu: Annotated[float, Field(gt=0)] | None = None
    """Cores of the host that each GPU's models may use; None: they do not bind."""
    host_memory_per_gpu: Annotated[NumBytes, Field(gt=0)] | None = None
    """Bytes of the host's memory that they may hold; None: it does not bind."""

    def capacity_of(self, resource: Resource) -> float | None:
        """Return all there is of a resource, in its unit; None if it does not bind.

        Raises:
            MissingReadingError: If it is the memory, and nobody said how much.
        """
        if resource is Resource.MEMORY:
            return self.known_memory_bytes()
        if resource.is_of_host:
            share: float | None = getattr(self, HOST_SHARES[resource])
            return share
        return 100.0

    def known_memory_bytes(self) -> int:
        """Return the total memory.

        Raises:
            MissingReadingError: If the source of the profiles did not say it.
        """
        if self.memory_bytes is None:
            raise MissingReadingError(
                f"the memory of GPU type {quoted(self.name)} is not known; name the "
                f"GPUs to plan for, for example {setting('gpus', 'T4')} or "
                f"{setting('gpus', 'NAME:MIB')}"
            )
        return self.memory_bytes


UNKNOWN_GPU_TYPE = GpuType(name="unknown", memory_bytes=None)
"""Of records whose source does not say what they were measured on."""


class FleetEntry(Record):
    """How many GPUs of one type there are, and what one costs."""

    gpu_type: GpuType
    num_gpus: int | None = Field(default=None, ge=0)
    """None: as many as needed."""
    price_per_hour: float | None = Field(default=None, ge=0)
    """In the caller's currency; gpupack ships no prices."""


class Fleet(Record):
    """The GPUs that may be used, one entry per type."""

    entries: tuple[FleetEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _types_are_distinct(self) -> Fleet:
        names = [entry.gpu_type.name for entry in self.entries]
        if len(set(names)) != len(names):
            raise ValueError(f"a fleet names each GPU type once, got {names}")
        return self


class Headroom(Record):
    """The share of each resource that may be used; None where it does not bind.

    Memory never exceeds 1: a GPU cannot hold more than it has. What models take a share
    of the time of may, trading throughput for hardware. What is of the host binds where
    a GPU's share of it is said (``host_cpus_per_gpu``), and only there.
    """

    memory: float | None = Field(default=None, gt=0, le=1)
    gpu_utilization: float | None = Field(default=None, gt=0)
    memory_utilization: float | None = Field(default=None, gt=0)
    sm_utilization: float | None = Field(default=None, gt=0)
    host_cpu: float | None = Field(default=None, gt=0)
    host_memory: float | None = Field(default=None, gt=0, le=1)

    def __iter__(self) -> Iterator[tuple[Resource, float]]:  # type: ignore[override]
        """Yield each binding resource and its share, in a fixed order."""
        shares = [(one, getattr(self, one.value)) for one in Resource]
        return iter([(one, share) for one, share in shares if share is not None])

    def share(self, resource: Resource) -> float | None:
        """Return the share of ``resource`` that may be used, None if unlimited."""
        value: float | None = getattr(self, resource.value)
        return value

    def binding_on(self, gpu_type: GpuType) -> Headroom:
        """Return the shares of what GPUs of a type have a known amount of.

        Elsewhere the host's resources do not bind.
        """
        return Headroom(
            **{
                resource.value: share
                for resource, share in self
                if not resource.is_of_host or gpu_type.capacity_of(resource) is not None
            }
        )


def find_gpu_type(name: str) -> GpuType:
    """Return the GPU type that ``name`` stands for.

    Args:
        name: A catalogue name (``"T4"``, case ignored); a nominal size
            (``"16GB"``, taken as 16 × 1024 MiB); or ``"NAME:MIB"`` for a card
            that the catalogue lacks.

    Raises:
        UnknownNameError: If the name is none of these; names those there are.
        InvalidInputError: If the MiB of ``NAME:MIB`` are no whole number ≥ 1.
    """
    known, mib = find_card(name)
    return GpuType(name=known, memory_bytes=bytes_from_mib(mib))


def is_same_card(one: GpuType, other: GpuType) -> bool:
    """Return whether a catalogue name and a driver's name mean the same card.

    ``"H200"`` and ``"NVIDIA H200"``, ``"A100-40GB"`` and ``"NVIDIA A100-SXM4-40GB"``:
    the kind and the memory are the same, and what the catalogue calls the card is a
    word of what the driver calls it.
    """
    if one.name == other.name:
        return True
    if (one.kind, one.memory_bytes) != (other.kind, other.memory_bytes):
        return False
    for known, spoken in ((one.name, other.name), (other.name, one.name)):
        if known in MEMORY_MIB_BY_NAME:
            words = re.split(r"[\s-]+", spoken.casefold())
            return known.casefold().partition("-")[0] in words
    return False
