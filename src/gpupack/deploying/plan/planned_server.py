"""Servers and the GPUs they run on, as planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from gpupack.deploying.plan.host_needs import HostNeeds, together
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from gpupack.deploying.plan.served_model import ServedModel
    from gpupack.records.environment import SharingMode
    from gpupack.records.gpu import GpuType


@dataclass(frozen=True)
class PlannedServer:
    """One ``tritonserver`` process.

    Attributes:
        name: Unique in the plan, and a DNS label: ``gpu-0`` or ``gpu-0-bert``.
        models: In the order they are loaded: what others call first.
        ports: HTTP, gRPC and metrics, where all servers share a host.
        number: Its place among the servers of its GPU, from 0.
        mps_percent: Share of the multiprocessors under MPS; None for all.
        memory_limit_bytes: Device memory it may take under MPS; None for all.
        apart_model: The model that has a server to itself wherever it runs; None of a
            server that other models may share.
        host_needs: What is requested of the host for it.
    """

    name: str
    models: tuple[ServedModel, ...]
    ports: tuple[int, int, int]
    number: int
    mps_percent: float | None = None
    memory_limit_bytes: int | None = None
    apart_model: str | None = None
    host_needs: HostNeeds = field(default_factory=HostNeeds)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make MPS keep it to its share."""
        found: dict[str, str] = {}
        if self.mps_percent is not None:
            found["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = _decimal(self.mps_percent)
        if self.memory_limit_bytes is not None:
            mib = -int(-mib_from_bytes(self.memory_limit_bytes) // 1)
            found["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={mib}M"
        return found

    def arguments(
        self, *, repository: str, configuration: str, ports: tuple[int, int, int]
    ) -> list[str]:
        """Return the server's command line, the program left out."""
        http, grpc, metrics = ports
        return [
            f"--model-repository={repository}",
            f"--model-config-name={configuration}",
            "--model-control-mode=explicit",
            *(f"--load-model={model.name}" for model in self.models),
            f"--http-port={http}",
            f"--grpc-port={grpc}",
            f"--metrics-port={metrics}",
        ]


def _decimal(number: float) -> str:
    """Return a number without an exponent, which MPS does not read."""
    return f"{number:.4f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class PlannedGpu:
    """One GPU of the placement, or the host in its place, with its servers.

    Attributes:
        name: ``gpu-0``; also the name of the models' configurations on it.
        index: In the placement.
        uuid: The one GPU that it must be; None for any of its type.
        memory_bytes: What was planned, a server-only baseline for each server.
        traffic: By model, the traffic planned for it, or what it was measured to
            answer; nothing of models of which neither is known.
    """

    name: str
    index: int
    gpu_type: GpuType
    uuid: str | None
    servers: tuple[PlannedServer, ...]
    uses_mps: bool
    memory_bytes: int
    traffic: dict[str, float]

    @cached_property
    def models(self) -> dict[str, ServedModel]:
        """Every model that is loaded here, by name."""
        return {one.name: one for server in self.servers for one in server.models}

    @property
    def host_needs(self) -> HostNeeds:
        """What is requested of the host for all of its servers."""
        return together(server.host_needs for server in self.servers)

    @property
    def pattern(self) -> object:
        """What is the same for GPUs that can stand in for each other."""
        return (
            self.gpu_type,
            self.uuid,
            self.uses_mps,
            self.memory_bytes,
            tuple(
                (
                    tuple(
                        (one.name, one.config.SerializeToString(deterministic=True))
                        for one in server.models
                    ),
                    server.mps_percent,
                    server.memory_limit_bytes,
                    server.host_needs,
                )
                for server in self.servers
            ),
            tuple(
                sorted((name, round(rate, 6)) for name, rate in self.traffic.items())
            ),
        )

    def server_of(self, model_name: str) -> PlannedServer:
        """Return the server that requests for a model go to."""
        return next(
            server
            for server in self.servers
            for one in server.models
            if one.name == model_name and not one.is_helper
        )


@dataclass(frozen=True)
class DeploymentPlan:
    """What shall run, whatever it is written for.

    Attributes:
        repository: The user's model repository.
        gpus: In the placement's order.
        sharing_mode: How models were measured to share a GPU; None on the host.
        notes: What was changed in the user's configurations, and what else to know.
        is_folded: Whether equal GPUs are replicas of one thing.
    """

    repository: Path
    gpus: tuple[PlannedGpu, ...]
    sharing_mode: SharingMode | None
    is_host: bool
    notes: tuple[str, ...]
    is_folded: bool = True

    @property
    def servers(self) -> tuple[PlannedServer, ...]:
        """All servers, GPU by GPU."""
        return tuple(server for gpu in self.gpus for server in gpu.servers)

    @cached_property
    def model_names(self) -> tuple[str, ...]:
        """Every model that clients ask, sorted; what others call is not among them."""
        return tuple(
            sorted(
                {
                    one.name
                    for server in self.servers
                    for one in server.models
                    if not one.is_helper
                }
            )
        )

    @cached_property
    def groups(self) -> tuple[tuple[PlannedGpu, ...], ...]:
        """GPUs that can stand in for each other, together; else each by itself."""
        if not self.is_folded:
            return tuple((gpu,) for gpu in self.gpus)
        found: dict[object, list[PlannedGpu]] = {}
        for gpu in self.gpus:
            found.setdefault(gpu.pattern, []).append(gpu)
        return tuple(tuple(gpus) for gpus in found.values())
