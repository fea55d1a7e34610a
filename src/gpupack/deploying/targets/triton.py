"""Triton itself: a repository, and the command lines of its servers on one host."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gpupack.deploying.targets.layout import (
    OVERLAY,
    Layout,
    add_configurations,
    deployed_servers,
    router_files,
    start_script,
)
from gpupack.deploying.targets.target import Ability, TargetFiles, changed, exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu
    from gpupack.deploying.targets.target import Expression

ON_ONE_HOST: Mapping[Ability, Expression] = MappingProxyType(
    {
        Ability.GPU_TYPE: changed(
            "the GPUs of the placement are taken to be those of one host, in "
            "nvidia-smi's order; see that their types are the placement's, or name "
            "them with --gpu-uuid"
        ),
        Ability.MIG_DEVICE: changed(
            "the devices are not made, and have no number: make them, and name each "
            "with --gpu-uuid"
        ),
        Ability.UNEQUAL_TRAFFIC: exact("router/: weights for Envoy and NGINX"),
        Ability.CONFIGURATIONS: exact("configs/<gpu>.pbtxt and --model-config-name"),
    }
)
"""What every target for one host expresses in the same way."""

_TABLE = MappingProxyType(
    {
        **ON_ONE_HOST,
        Ability.CHOSEN_GPU: exact("CUDA_VISIBLE_DEVICES names its UUID"),
        Ability.SEVERAL_SERVERS: exact("a process each, started by one script"),
        Ability.MPS: exact("a daemon for the servers of each GPU"),
        Ability.UNEQUAL_SHARES: exact("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE per server"),
        Ability.MEMORY_LIMITS: exact("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT per server"),
        Ability.HOST: exact("instances of KIND_CPU"),
    }
)


class TritonTarget:
    """A repository of configurations, and a script per GPU that starts its servers."""

    name = "triton"
    purpose = "a model repository and the command lines of its servers, on one host"
    is_on_one_host = True

    def expressions(self, options: DeployOptions) -> Mapping[Ability, Expression]:
        """Return what the command lines of one host can express."""
        return _TABLE

    def write(self, plan: DeploymentPlan, options: DeployOptions) -> TargetFiles:
        """Return the repository, or its overlay, and a script per GPU."""
        made = TargetFiles(servers=deployed_servers(plan, on_host=True))
        repository = str(plan.repository)
        add_configurations(
            made.files, plan, in_repository=options.in_repository, models=repository
        )
        for gpu in plan.gpus:
            layout = Layout(
                repository=repository if options.in_repository else f"$here/{OVERLAY}",
                variables=device_variables(plan, gpu),
                has_devices=not plan.is_host and gpu.uuid is None,
            )
            ports = [server.ports for server in gpu.servers]
            made.files.add(
                f"{gpu.name}.sh", start_script(gpu, layout, ports), is_program=True
            )
        made.files.add_all(router_files(plan, port=options.router_port))
        # Each script is its servers, and ends when they do.
        beside = " &" if len(plan.gpus) > 1 else ""
        made.apply = tuple(f"./{gpu.name}.sh{beside}" for gpu in plan.gpus)
        made.check = HOST_CHECKS
        return made


HOST_CHECKS = (
    "gpupack status .",
    "gpupack verify PLACEMENT --deployment .",
)
"""Where the servers' ports are those of this host."""


def device_variables(plan: DeploymentPlan, gpu: PlannedGpu) -> dict[str, str]:
    """Return the variables that leave a server the one GPU that it is to use."""
    if plan.is_host:
        return {}
    if gpu.uuid is not None:
        return {"CUDA_VISIBLE_DEVICES": gpu.uuid}
    # nvidia-smi's order; CUDA's own puts the fastest first.
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(gpu.index)}
