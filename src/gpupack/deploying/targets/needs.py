"""Which abilities a plan needs, and what its target makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.deploying.targets.target import Ability, How
from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan
    from gpupack.deploying.targets.target import Target
    from gpupack.records.gpu import GpuType


def needs_of(plan: DeploymentPlan) -> tuple[Ability, ...]:
    """Return what a plan needs expressed, in the order of ``Ability``."""
    several = [gpu for gpu in plan.gpus if len(gpu.servers) > 1]
    shares = {server.mps_percent for server in plan.servers}
    holders: dict[str, set[object]] = {}
    rates: dict[str, set[float]] = {}
    for gpu in plan.gpus:
        for name, model in gpu.models.items():
            holders.setdefault(name, set()).add(model.config.SerializeToString())
        for name, rate in gpu.traffic.items():
            rates.setdefault(name, set()).add(round(rate, 6))
    wanted = {
        Ability.CHOSEN_GPU: any(gpu.uuid for gpu in plan.gpus),
        Ability.GPU_TYPE: not plan.is_host,
        Ability.SEVERAL_SERVERS: bool(several),
        Ability.MPS: any(gpu.uses_mps for gpu in plan.gpus),
        Ability.UNEQUAL_SHARES: shares != {None} and bool(several),
        Ability.MEMORY_LIMITS: any(one.memory_limit_bytes for one in plan.servers),
        Ability.MIG_DEVICE: any(mig_profile(gpu.gpu_type) for gpu in plan.gpus),
        Ability.HOST: plan.is_host,
        Ability.UNEQUAL_TRAFFIC: any(len(one) > 1 for one in rates.values()),
        Ability.CONFIGURATIONS: any(len(one) > 1 for one in holders.values()),
    }
    return tuple(ability for ability in Ability if wanted[ability])


def expressed(
    plan: DeploymentPlan, target: Target, options: DeployOptions
) -> tuple[str, ...]:
    """Return in words what a target expresses in another form than was planned.

    Raises:
        InvalidInputError: If it cannot express something; says what, and a way out.
    """
    table = target.expressions(options)
    notes = []
    for need in needs_of(plan):
        found = table[need]
        if found.how is How.REFUSED:
            raise InvalidInputError(
                f"{target.name} cannot express {need.value}: {found.words}"
            )
        if found.how is How.CHANGED:
            notes.append(f"{need.value}: {found.words}")
    return tuple(notes)


def mig_profile(gpu_type: GpuType) -> str | None:
    """Return a GPU type's MIG profile, such as ``1g.18gb``; None of a whole GPU."""
    _, mig, profile = gpu_type.name.partition(" MIG ")
    return profile.strip().lower() or None if mig else None
