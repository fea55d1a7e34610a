"""What a plan's objects are called, and the labels and ports that find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from gpupack.deploying.plan import dns_names, short_hash
from gpupack.deploying.status import PART_OF

if TYPE_CHECKING:
    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu, PlannedServer
    from gpupack.records.gpu import GpuType

Object: TypeAlias = "dict[str, Any]"

MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
FIRST_PORTS = (8000, 8001, 8002)
"""Of a pod's first server, and of every Service: HTTP, gRPC and metrics."""


class Names:
    """What a plan's objects are called, and the labels that find them.

    Args:
        plan: Whose objects.
        options: With the name that all begin with.
    """

    def __init__(self, plan: DeploymentPlan, options: DeployOptions) -> None:
        self.whole = options.name
        models = {name for gpu in plan.gpus for name in gpu.models}
        self._models = dns_names(models)
        self._types = dns_names({gpu.gpu_type.name for gpu in plan.gpus})

    def gpu(self, gpu: PlannedGpu) -> str:
        """Return the name of a GPU's pods and configurations."""
        return f"{self.whole}-{gpu.name}"

    def model(self, model_name: str) -> str:
        """Return the name of a model's Service."""
        return f"{self.whole}-{self._models[model_name]}"

    def model_on(self, model_name: str, gpu: PlannedGpu) -> str:
        """Return the name of a Service of one model on GPUs like this one."""
        return f"{self.model(model_name)}-{gpu.name}"

    def configuration(self, model_name: str) -> str:
        """Return the key of a model's configuration in a ConfigMap."""
        return f"{self._models[model_name]}.pbtxt"

    def model_label(self, model_name: str) -> str:
        """Return the label of pods that hold a model."""
        return f"gpupack/model.{self._models[model_name]}"

    @property
    def all_servers(self) -> str:
        """Return the name of what leads to any server; no model's has two dashes."""
        return f"{self.whole}--servers"

    def gpu_type(self, gpu_type: GpuType) -> str:
        """Return the label's value for nodes with a GPU type."""
        return self._types[gpu_type.name]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every object."""
        return {MANAGED_BY: "gpupack", PART_OF: self.whole}


def pod_ports(number: int) -> tuple[int, int, int]:
    """Return the ports of a pod's server of that number."""
    http, grpc, metrics = (port + 3 * number for port in FIRST_PORTS)
    return http, grpc, metrics


def port_name(kind: str, server: PlannedServer) -> str:
    """Return a port's name, the same in every pod for a model's server.

    A model that has servers to itself has a name of its own, by which its Service finds
    the port whatever its number.
    """
    if server.apart_model is None:
        return kind
    return f"{kind[0]}-{short_hash(server.apart_model)}"


def container_ports(server: PlannedServer) -> list[Object]:
    """Return the ports of a server, by the names that Services know."""
    return [
        {"name": port_name(kind, server), "containerPort": port}
        for kind, port in zip(
            ("http", "grpc", "metrics"), pod_ports(server.number), strict=True
        )
    ]


def selector(gpu: PlannedGpu, names: Names) -> dict[str, str]:
    """Return the labels of the pods of GPUs like this one, and of no others."""
    return {PART_OF: names.whole, INSTANCE: names.gpu(gpu)}
