"""The server that gpupack starts itself, on the GPU that is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.profiling.devices import HOST, open_device
from gpupack.profiling.embedded import EmbeddedServer, MpsDaemon
from gpupack.records.environment import SharingMode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from gpupack.files import AnyPath
    from gpupack.profiling.embedded import InstallProgress


def own_server(
    stack: ExitStack,
    model_repository: AnyPath,
    *,
    gpu: int | str | None = None,
    sharing: SharingMode | None = None,
    python: AnyPath | None = None,
    root: AnyPath | None = None,
    environment: Mapping[str, str] | None = None,
    install_progress: InstallProgress | None = None,
) -> EmbeddedServer:
    """Return an embedded server, not yet started, whose models run on one GPU.

    Args:
        stack: Ends what runs under the server; close it after the server.
        model_repository: Folder of models.
        gpu: The GPU, as ``open_device`` takes it, None too: the one that is watched.
        sharing: MPS puts a private daemon, for that GPU alone, under the server.
        python: Python that models run in.
        root: A server tree unpacked by other means.
        environment: Variables for the server; they win over those made here.
        install_progress: Told about the installation of the server.

    Raises:
        UnknownNameError: There is no such GPU, or DeviceError: no driver.
        InvalidInputError: MPS was asked for where no GPU is used.
        ServerUnavailableError: The server, or MPS, cannot be had here.
    """
    variables: dict[str, str] = {}
    wants_mps = sharing is SharingMode.MPS
    uuid: str | None = None
    if wants_mps or str(gpu).strip() != HOST:
        # Also the one that is watched by default: Triton would use every GPU it sees.
        # By UUID: it names MIG devices too, and is the same to CUDA, to the driver, and
        # under an MPS daemon that sees one GPU only and counts anew.
        found = open_device(gpu).environment_fields().get("gpu_uuid")
        uuid = None if found is None else str(found)
    if uuid is not None:
        variables["CUDA_VISIBLE_DEVICES"] = uuid
    if wants_mps:
        if uuid is None:
            raise InvalidInputError(
                "MPS shares an NVIDIA GPU between processes, and the host is measured "
                "here: leave --sharing mps out, or name a GPU"
            )
        variables |= stack.enter_context(MpsDaemon(gpu_uuids=(uuid,))).environment
    return EmbeddedServer(
        model_repository,
        python=python,
        root=root,
        environment=variables | dict(environment or {}),
        progress=install_progress,
    )
