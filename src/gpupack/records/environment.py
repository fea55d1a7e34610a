"""Everything that can change a measured number, kept beside it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from gpupack.errors import UnknownNameError
from gpupack.quoting import quoted
from gpupack.records.record import Record


class SharingMode(StrEnum):
    """How processes share one GPU."""

    TIME_SLICING = "time_slicing"
    """The default: kernels of different processes take turns."""
    MPS = "mps"
    """NVIDIA's Multi-Process Service: kernels of processes run side by side."""
    STREAMS = "streams"
    """Models run inside the server's own process, on CUDA streams."""

    @classmethod
    def parse(cls, text: str) -> SharingMode:
        """Return the way of sharing of that name.

        Raises:
            UnknownNameError: If there is none; names those there are.
        """
        try:
            return cls(text)
        except ValueError as err:
            raise UnknownNameError(
                f"unknown sharing {quoted(text)}; there are "
                f"{', '.join(mode.value for mode in cls)}"
            ) from err


class Environment(Record):
    """Where and how something was measured; None where the source does not say."""

    source: str = Field(min_length=1)
    """Who measured: "gpupack profile", "Model Analyzer export", a publication."""
    measured_at: datetime | None = None
    """When the measurement ended, with time zone."""
    command: str | None = None
    """The command line or call that measured."""
    gpupack_version: str | None = None
    commit: str | None = None
    server_name: str | None = None
    server_version: str | None = None
    backend: str | None = None
    """The Triton backend of the model, such as ``python`` or ``onnxruntime``."""
    protocol: str | None = None
    """How requests travelled: ``http``, ``grpc``, with ``+shm`` for shared memory."""
    client_name: str | None = None
    client_version: str | None = None
    driver_version: str | None = None
    cuda_driver_version: str | None = None
    gpu_uuid: str | None = None
    gpu_index: int | None = Field(default=None, ge=0)
    mig_mode: str | None = None
    sharing_mode: SharingMode | None = None
    sm_clock_mhz: int | None = Field(default=None, ge=0)
    memory_clock_mhz: int | None = Field(default=None, ge=0)
    cpu_name: str | None = None
    num_cpus: int | None = Field(default=None, ge=1)
    operating_system: str | None = None
    python_version: str | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    """Versions of further libraries that matter, by name: numpy, torch."""
    seed: int | None = None
    measure_options: dict[str, str] = Field(default_factory=dict)
    """How well it was measured: the stopping rule, its precision and the rest, as text
    by the names of ``gpupack.profile``'s options; empty if not known."""
    input_shapes: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Sizes of a request's inputs, without the batch, by input name."""
    input_data_sha256: str | None = None
    """Of the file with real inputs; None for random ones of ``seed``."""
    notes: tuple[str, ...] = ()
    """What a reader of the number should know, such as foreign processes seen."""
