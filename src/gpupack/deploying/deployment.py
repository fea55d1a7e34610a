"""From a placement to the files that run it: ``deploy()``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.deploying.deployment_page import deployment_page
from gpupack.deploying.options import DeployOptions
from gpupack.deploying.plan import plan_servers
from gpupack.deploying.targets import expressed, find_target
from gpupack.deploying.writing import (
    check_folder,
    check_repository,
    digests,
    repository_digests,
    write_folder,
)
from gpupack.records.running.deployment import DeploymentRecord
from gpupack.store import DEPLOYMENT_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.files import AnyPath
    from gpupack.records.placement import PlacementRecord

PAGE = "DEPLOYMENT.md"


@dataclass(frozen=True)
class Deployment:
    """What ``deploy()`` made of a placement.

    Attributes:
        record: What shall run; also in the folder, as ``deployment.json``.
        files: Every text by its path below the folder.
        links: Symbolic links by their path, with what each leads to.
        repository_files: Configurations for the user's model repository, by path below
            it; empty where they lie in an overlay.
        folder: Where it was written; None if it was not.
    """

    record: DeploymentRecord
    files: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)
    repository_files: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the target could not express, or was changed, in words."""
        return self.record.notes

    def __str__(self) -> str:
        """Return in a few lines what was made."""
        servers = sum(one.num_replicas for one in self.record.servers)
        where = "" if self.folder is None else f" in {self.folder}"
        head = (
            f"{servers} server{'s' if servers != 1 else ''} for {self.record.target}: "
            f"{len(self.files)} files{where}"
        )
        return "\n".join([head, *(f"- {note}" for note in self.notes)])


def deploy(
    placement: PlacementRecord,
    to: str,
    *,
    model_repository: AnyPath,
    output: AnyPath | None = None,
    options: DeployOptions | None = None,
) -> Deployment:
    """Write the files that run a placement; nothing is started.

    Equal input gives equal bytes. The output folder is replaced as a whole, if all that
    is in it was written by gpupack and not changed since; otherwise nothing is written.

    Args:
        placement: What was decided, with its profile records.
        to: ``"triton"``, ``"compose"``, ``"kubernetes"``, ``"helm"`` or ``"dra"``.
        model_repository: Folder of the models, in Triton's layout; it is read, and
            with ``in_repository`` configurations are added to it.
        output: Folder to write, new, empty, or one that ``deploy`` wrote; None only
            returns the files.
        options: Names, ports, GPUs and the rest.

    Raises:
        UnknownNameError: An unknown target, GPU, model or version of Kubernetes.
        InvalidInputError: The repository lacks a model or version, a configuration
            contradicts its load point, the target cannot express the placement, ports
            collide, or the output folder or the repository has files that are not
            this deployment's; all before anything is written.
        StoreError: A file cannot be read or written; then everything is as it was.
        ServerError: The server that completes configurations cannot be asked.
    """
    target = find_target(to)
    chosen = options or DeployOptions()
    chosen.check()
    plan = plan_servers(
        placement, model_repository, chosen, on_one_host=target.is_on_one_host
    )
    told = expressed(plan, target, chosen)
    made = target.write(plan, chosen)
    if chosen.in_repository:
        made.files.in_repository |= {
            f"{name}/configs/{gpu.name}.pbtxt": model.text
            for gpu in plan.gpus
            for name, model in gpu.models.items()
        }
    notes = tuple(dict.fromkeys((*told, *made.notes, *plan.notes)))
    record = DeploymentRecord(
        target=target.name,
        name=chosen.name,
        sharing_mode=plan.sharing_mode,
        servers=made.servers,
        manifests=made.manifests,
        notes=notes,
    )
    made.files.add(PAGE, deployment_page(plan, target, chosen, made, notes))
    record = record.model_copy(
        update={
            "files": digests(made.files),
            "repository_files": repository_digests(made.files, plan.repository),
        }
    )
    texts = made.files.texts | {
        DEPLOYMENT_FILE: record.model_dump_json(indent=2) + "\n"
    }
    made.files.texts = dict(sorted(texts.items()))
    if output is not None:
        check_folder(output, plan.repository)
        check_repository(output, made.files, plan.repository)
        write_folder(output, made.files, plan.repository)
    return Deployment(
        record=record,
        files=made.files.texts,
        links=dict(sorted(made.files.links.items())),
        repository_files=made.files.in_repository,
        folder=None if output is None else Path(output),
    )
