"""Which nodes have a GPU type: their labels, as far as they are known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.deploying.options import DeployOptions
    from gpupack.deploying.plan import DeploymentPlan
    from gpupack.deploying.targets.objects.object_names import Names
    from gpupack.records.gpu import GpuType

PRODUCT = "nvidia.com/gpu.product"
OWN_TYPE = "gpupack/gpu-type"
"""Of nodes, where the driver's name of a GPU type is not known: the user sets it."""
_DRIVER_NAME = re.compile(r"(NVIDIA|Tesla|Quadro|GRID) [A-Za-z0-9 _.-]{1,50}")


def node_selector(
    gpu_type: GpuType, names: Names, options: DeployOptions
) -> dict[str, str]:
    """Return the labels of nodes that have a GPU type."""
    product = product_of(gpu_type, options)
    if product is not None:
        return {PRODUCT: product}
    return {OWN_TYPE: names.gpu_type(gpu_type)}


def product_of(gpu_type: GpuType, options: DeployOptions) -> str | None:
    """Return how nodes are labelled for a GPU type, None where that is not known.

    The label is the driver's name with dashes; the catalogue's names are others.
    """
    if gpu_type.name in options.gpu_products:
        return options.gpu_products[gpu_type.name]
    whole = gpu_type.name.partition(" MIG ")[0].strip()
    return whole.replace(" ", "-") if _DRIVER_NAME.fullmatch(whole) else None


def repository_notes(options: DeployOptions) -> tuple[str, ...]:
    """Say what the pods' volume must hold beyond the models."""
    if not options.in_repository:
        return ()
    return (
        f"the claim {options.model_claim} must hold the model repository with the "
        "configurations that were written into it",
    )


def gpu_type_notes(
    plan: DeploymentPlan, names: Names, options: DeployOptions
) -> tuple[str, ...]:
    """Say which nodes the user must label, since no label of theirs is known."""
    if plan.is_host:
        return ()
    types = {gpu.gpu_type.name: gpu.gpu_type for gpu in plan.gpus}
    return tuple(
        f"what nodes with a {name} are labelled is not known, so pods wait for nodes "
        f"with {OWN_TYPE}={names.gpu_type(one)}: kubectl label node NODE "
        f"{OWN_TYPE}={names.gpu_type(one)}; or give --gpu-product {name}=LABEL, as "
        f"kubectl get nodes -L {PRODUCT} prints it"
        for name, one in sorted(types.items())
        if product_of(one, options) is None
    )
