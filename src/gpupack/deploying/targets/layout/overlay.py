"""A model repository of links: the user's models, each GPU's configurations beside."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gpupack.deploying.plan import CONFIGURATIONS

if TYPE_CHECKING:
    from gpupack.deploying.plan import DeploymentPlan, PlannedGpu
    from gpupack.deploying.writing import GeneratedFiles

OVERLAY = "repository"


def configuration_path(model_name: str, gpu: PlannedGpu) -> str:
    """Return where a model's configuration on a GPU lies in a repository."""
    return f"{model_name}/{CONFIGURATIONS}/{gpu.name}.pbtxt"


def add_configurations(
    files: GeneratedFiles, plan: DeploymentPlan, *, in_repository: bool, models: str
) -> None:
    """Add every GPU's configurations, to an overlay or to the repository itself.

    Args:
        files: Added to.
        plan: What is served.
        in_repository: Whether they go into the user's own.
        models: Where servers see the user's repository, for the overlay's links.
    """
    for gpu in plan.gpus:
        for name, model in gpu.models.items():
            path = configuration_path(name, gpu)
            if in_repository:
                files.in_repository[path] = model.text
                continue
            files.add(f"{OVERLAY}/{path}", model.text)
            source = PurePosixPath(models) / name
            for entry in model.entries:
                files.link(f"{OVERLAY}/{name}/{entry}", str(source / entry))
    if in_repository:
        return
    for gpu in plan.gpus:
        for name, model in gpu.models.items():
            source = PurePosixPath(models) / name / CONFIGURATIONS
            for entry in model.other_configurations:
                files.link(
                    f"{OVERLAY}/{name}/{CONFIGURATIONS}/{entry}", str(source / entry)
                )
