"""Docker Compose: a service per server, each with the one GPU it is to use."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gpupack.deploying.plan import MARK
from gpupack.deploying.targets.layout import (
    OVERLAY,
    add_configurations,
    deployed_servers,
    router_files,
)
from gpupack.deploying.targets.target import Ability, TargetFiles, changed, exact
from gpupack.deploying.targets.triton import HOST_CHECKS, ON_ONE_HOST
from gpupack.deploying.yaml_text import yaml_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import (
        DeploymentPlan,
        HostNeeds,
        PlannedGpu,
        PlannedServer,
    )
    from gpupack.deploying.targets.target import Expression

FILE = "compose.yaml"
MODELS = "/models"
"""Where containers see the user's repository."""
REPOSITORY = "/repository"
"""Where they see the overlay, whose links lead to ``MODELS``."""
PORTS = (8000, 8001, 8002)
"""Of every container; the host's differ."""
_PIPE = "/tmp/nvidia-mps"
"""Of MPS: the daemon and its clients share it through a volume."""

_TABLE = MappingProxyType(
    {
        **ON_ONE_HOST,
        Ability.CHOSEN_GPU: exact("device_ids names its UUID"),
        Ability.SEVERAL_SERVERS: exact("a service each, with the same device"),
        Ability.MPS: changed(
            "the daemon of a GPU is a service of its own, and the servers share its "
            "pipe and its IPC namespace; check what that gives with gpupack verify"
        ),
        Ability.UNEQUAL_SHARES: exact("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE per service"),
        Ability.MEMORY_LIMITS: exact("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT per service"),
        Ability.HOST: exact("services without a device, instances of KIND_CPU"),
    }
)


class ComposeTarget:
    """One ``compose.yaml`` for one host."""

    name = "compose"
    purpose = "a compose file with a service per server, for one host"
    is_on_one_host = True

    def expressions(self, options: DeployOptions) -> Mapping[Ability, Expression]:
        """Return what a compose file can express."""
        return _TABLE

    def write(self, plan: DeploymentPlan, options: DeployOptions) -> TargetFiles:
        """Return the compose file, the overlay that it mounts, and routers."""
        made = TargetFiles(servers=deployed_servers(plan, on_host=True))
        add_configurations(
            made.files, plan, in_repository=options.in_repository, models=MODELS
        )
        services: dict[str, Any] = {}
        volumes: dict[str, Any] = {}
        for gpu in plan.gpus:
            if gpu.uses_mps:
                services[f"{gpu.name}--mps"] = _daemon(plan, gpu, options)
                volumes[f"{gpu.name}-mps"] = {}
            for server in gpu.servers:
                services[server.name] = _service(plan, gpu, server, options)
        content: dict[str, Any] = {"services": services}
        if volumes:
            content["volumes"] = volumes
        made.files.add(
            FILE,
            f"{MARK}: docker compose --project-name {options.name} up --detach\n"
            + yaml_text(_escaped(content)),
        )
        made.files.add_all(router_files(plan, port=options.router_port))
        up = f"docker compose --project-name {options.name} up --detach"
        made.apply = (f"{up} --remove-orphans",)
        made.check = (
            f"docker compose --project-name {options.name} ps",
            *HOST_CHECKS,
        )
        return made


def _service(
    plan: DeploymentPlan,
    gpu: PlannedGpu,
    server: PlannedServer,
    options: DeployOptions,
) -> dict[str, Any]:
    arguments = server.arguments(
        repository=MODELS if options.in_repository else REPOSITORY,
        configuration=gpu.name,
        ports=PORTS,
    )
    mounts = [_mount(str(plan.repository), MODELS)]
    if not options.in_repository:
        mounts.append(_mount(f"./{OVERLAY}", REPOSITORY))
    service = _common(plan, gpu, options, server.host_needs) | {
        "command": ["tritonserver", *arguments],
        "ports": [
            f"{outside}:{inside}"
            for outside, inside in zip(server.ports, PORTS, strict=True)
        ],
        "volumes": mounts,
        "healthcheck": {
            "test": [
                "CMD",
                "curl",
                "--fail",
                "--silent",
                f"http://localhost:{PORTS[0]}/v2/health/ready",
            ],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "600s",
        },
        "stop_grace_period": "45s",
    }
    if gpu.uses_mps:
        service["volumes"] = [*mounts, _pipe(gpu)]
        service["environment"] = {
            "CUDA_MPS_PIPE_DIRECTORY": _PIPE,
            **server.environment,
        }
        # Clients and daemon meet in shared memory, whose size is then the daemon's.
        service["ipc"] = f"service:{gpu.name}--mps"
        service["depends_on"] = {f"{gpu.name}--mps": {"condition": "service_healthy"}}
    else:
        service["shm_size"] = f"{options.shared_memory_mib}m"
    return service


def _daemon(
    plan: DeploymentPlan, gpu: PlannedGpu, options: DeployOptions
) -> dict[str, Any]:
    return _common(plan, gpu, options) | {
        "command": ["nvidia-cuda-mps-control", "-f"],
        "environment": {"CUDA_MPS_PIPE_DIRECTORY": _PIPE},
        "volumes": [_pipe(gpu)],
        "ipc": "shareable",
        "shm_size": f"{options.shared_memory_mib * len(gpu.servers)}m",
        "healthcheck": {
            "test": ["CMD-SHELL", "echo get_server_list | nvidia-cuda-mps-control"],
            "interval": "5s",
            "timeout": "5s",
            "retries": 3,
        },
    }


def _common(
    plan: DeploymentPlan,
    gpu: PlannedGpu,
    options: DeployOptions,
    needs: HostNeeds | None = None,
) -> dict[str, Any]:
    common: dict[str, Any] = {"image": options.image, "restart": "unless-stopped"}
    reservations: dict[str, Any] = {}
    if needs is not None and needs.cpu_millicores is not None:
        reservations["cpus"] = f"{needs.cpu_millicores / 1000:.3f}"
    if needs is not None and needs.memory_mib is not None:
        reservations["memory"] = f"{needs.memory_mib}m"
    if not plan.is_host:
        device = {
            "driver": "nvidia",
            "device_ids": [gpu.uuid or str(gpu.index)],
            "capabilities": ["gpu"],
        }
        reservations["devices"] = [device]
    if reservations:
        common["deploy"] = {"resources": {"reservations": reservations}}
    return common


def _mount(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _pipe(gpu: PlannedGpu) -> dict[str, Any]:
    return {"type": "volume", "source": f"{gpu.name}-mps", "target": _PIPE}


def _escaped(content: Any) -> Any:
    """Return content in which no text is taken for a variable."""
    if isinstance(content, str):
        return content.replace("$", "$$")
    if isinstance(content, list):
        return [_escaped(one) for one in content]
    if isinstance(content, dict):
        return {key: _escaped(value) for key, value in content.items()}
    return content
