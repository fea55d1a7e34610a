"""What ``gpupack deploy`` wrote: servers, their models, and which files are its own."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from gpupack.quoting import quoted
from gpupack.records.environment import SharingMode
from gpupack.records.record import Record

_IN_A_URL = re.compile(r"[A-Za-z0-9_.~-]+")
"""Names that Triton finds over HTTP, where it does not decode what is escaped."""


class DeployedModel(Record):
    """A model that a server loads, and its configuration."""

    name: str = Field(min_length=1)
    configuration: str
    """As written: Triton's ``ModelConfig`` in protobuf's text format."""
    is_helper: bool = False
    """It is loaded because another model calls it."""


class DeployedServer(Record):
    """One Triton server."""

    name: str = Field(min_length=1)
    gpu_index: int = Field(ge=0)
    """Of the placement; where equal GPUs run the same, the first of them."""
    gpu_uuid: str | None = None
    """The one card that it must run on; None for any of the type."""
    num_replicas: int = Field(default=1, ge=1)
    """Equal GPUs that each run such a server."""
    http_port: int | None = Field(default=None, ge=1, le=65535)
    """On the host, gRPC's is the next; None where the target has no ports of a host."""
    models: tuple[DeployedModel, ...]

    def url(self, host: str) -> str | None:
        """Return where all of its models are found, None if no port is known.

        That is by gRPC if HTTP has no way to write one of their names.
        """
        if self.http_port is None:
            return None
        if all(_IN_A_URL.fullmatch(one.name) for one in self.models):
            return f"http://{host}:{self.http_port}"
        return f"grpc://{host}:{self.http_port + 1}"


class DeploymentRecord(Record):
    """What shall run, and the files that say so."""

    kind: Literal["deployment"] = "deployment"
    schema_version: Literal[1] = 1
    target: str = Field(min_length=1)
    """What it was written for: ``triton``, ``compose`` and so on."""
    name: str = Field(min_length=1)
    sharing_mode: SharingMode | None = None
    """How models share a GPU; None on hosts without one."""
    servers: tuple[DeployedServer, ...]
    manifests: tuple[str, ...] = ()
    """Files of objects that a cluster shall have, for ``gpupack status``."""
    notes: tuple[str, ...] = ()
    """What the target could not express, or was changed."""
    files: dict[str, str] = Field(default_factory=dict)
    """By path below the folder: what tells whether one is still as it was written."""
    repository_files: dict[str, str] = Field(default_factory=dict)
    """By whole path: the same of its configurations in the user's model repository."""

    @field_validator("manifests")
    @classmethod
    def _are_in_the_folder(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            parts = PurePosixPath(path).parts
            if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
                raise ValueError(f"{quoted(path)} is no path below the folder")
        return paths
