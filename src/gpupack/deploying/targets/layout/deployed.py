"""The servers of a plan as ``deployment.json`` keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.running.deployment import DeployedModel, DeployedServer

if TYPE_CHECKING:
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu


def deployed_servers(
    plan: DeploymentPlan, *, on_host: bool
) -> tuple[DeployedServer, ...]:
    """Return every server of a plan, or where GPUs are folded, one for each group.

    Args:
        plan: What shall run.
        on_host: Each GPU's servers have ports of one host; otherwise equal GPUs are
            replicas.
    """
    groups = [(gpu,) for gpu in plan.gpus] if on_host else list(plan.groups)
    return tuple(
        server for gpus in groups for server in _servers(gpus, on_host=on_host)
    )


def _servers(
    gpus: tuple[PlannedGpu, ...], *, on_host: bool
) -> tuple[DeployedServer, ...]:
    first = gpus[0]
    return tuple(
        DeployedServer(
            name=server.name,
            gpu_index=first.index,
            gpu_uuid=first.uuid,
            num_replicas=len(gpus),
            http_port=server.ports[0] if on_host else None,
            models=tuple(
                DeployedModel(
                    name=one.name, configuration=one.text, is_helper=one.is_helper
                )
                for one in server.models
            ),
        )
        for server in first.servers
    )
