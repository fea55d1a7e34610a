"""The user's model repository: which models, versions and configurations it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpupack.deploying.plan.configuration import (
    ModelConfig,
    configuration_of_server,
    is_complete,
    is_own,
    parse_configuration,
)
from gpupack.errors import InvalidInputError, ServerError
from gpupack.files import read_text
from gpupack.profiling import TritonServer, find_repository
from gpupack.quoting import listed, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpupack.files import AnyPath

CONFIGURATION = "config.pbtxt"
CONFIGURATIONS = "configs"
"""Folder of a model that ``--model-config-name`` chooses from."""
_EVERY_MODEL = "*"
"""What ``--load-model`` takes for all models."""


@dataclass(frozen=True)
class ModelFolder:
    """One model of the repository.

    Attributes:
        config: Its own ``config.pbtxt``, the one that a server completed, or an empty
            one where there is neither.
        is_written: Whether it has a ``config.pbtxt``.
        is_completed: Whether ``config`` is as a server completed it.
        versions: Numbers of its versions.
    """

    name: str
    path: Path
    config: Any
    is_written: bool
    is_completed: bool
    versions: tuple[int, ...]

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of what is in the folder, without ``configs`` and hidden files."""
        return tuple(
            sorted(
                one.name
                for one in self.path.iterdir()
                if one.name != CONFIGURATIONS and not one.name.startswith(".")
            )
        )

    @property
    def other_configurations(self) -> tuple[str, ...]:
        """Names of the files in ``configs``."""
        folder = self.path / CONFIGURATIONS
        if not folder.is_dir():
            return ()
        return tuple(sorted(one.name for one in folder.iterdir()))

    def has_users_own(self, configuration: str) -> bool:
        """Whether the user, not gpupack, wrote this file in ``configs``."""
        path = self.path / CONFIGURATIONS / configuration
        if not path.is_file():
            return path.exists()
        return not is_own(path.read_bytes().decode(errors="replace"))

    def hidden_notes(self, configurations: Collection[str]) -> list[str]:
        """Return which files of the user's in ``configs`` have a name that is taken."""
        return [
            f"{self.name}: {CONFIGURATIONS}/{hidden} of the model repository is not "
            "served; the configuration that was made from its config.pbtxt has that "
            "name"
            for hidden in self.other_configurations
            if hidden in configurations and self.has_users_own(hidden)
        ]

    @property
    def backend(self) -> str:
        """Backend or platform, empty where neither is said."""
        return str(self.config.backend or self.config.platform).partition("_")[0]

    @property
    def steps(self) -> tuple[str, ...]:
        """Models that it consists of, if it is an ensemble."""
        steps = self.config.ensemble_scheduling.step
        return tuple(dict.fromkeys(str(step.model_name) for step in steps))


class ModelRepository:
    """The model folders that a placement needs, read once.

    Args:
        path: Folder of models.
        server_url: A running Triton that completes what they leave out.

    Raises:
        InvalidInputError: There is no such folder, or it is a model itself.
    """

    def __init__(self, path: AnyPath, *, server_url: str | None = None) -> None:
        self.path = find_repository(path)
        self._server_url = server_url
        self._known: dict[str, ModelFolder] = {}

    def model(self, name: str) -> ModelFolder:
        """Return one model's folder.

        Raises:
            InvalidInputError: If there is none, it has no version, or its
                configuration cannot be read.
            ServerError: If the server that completes it has no such model.
        """
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> ModelFolder:
        folder = self.path / name
        if (
            name in ("", ".", "..")
            or "/" in name
            or "\0" in name
            or not _is_dir(folder)
        ):
            known = sorted(
                one.name
                for one in self.path.iterdir()
                if one.is_dir() and not one.name.startswith(".")
            )
            raise InvalidInputError(
                f"the placement has model {quoted(name)}, which is not in "
                f"{self.path}; it has {listed(known) or 'none'}"
            )
        versions = tuple(
            sorted(
                int(one.name)
                for one in folder.iterdir()
                if one.name.isdecimal() and one.name.isascii() and one.is_dir()
            )
        )
        if name == _EVERY_MODEL:
            raise InvalidInputError(
                f"model {quoted(name)} cannot be deployed: Triton takes --load-model="
                f"{name} for every model of the repository; rename its folder, and "
                "profile it by that name"
            )
        if not versions:
            raise InvalidInputError(
                f"model {quoted(name)} has no version in {folder}: put its files into "
                "a folder named by a number, such as 1"
            )
        file = folder / CONFIGURATION
        is_written = file.is_file()
        if not is_written and (file.exists() or file.is_symlink()):
            raise InvalidInputError(
                f"{quoted(str(file))} is no file, and Triton reads the model's "
                "configuration there: put one in its place, or take it away"
            )
        config = (
            parse_configuration(read_text(file), str(file))
            if is_written
            else ModelConfig()
        )
        if config.name not in ("", name):
            raise InvalidInputError(
                f"{quoted(str(file))} names the model {quoted(config.name)}, and "
                f"Triton loads only a model that is named as its folder: write "
                f"name: {quoted(name)} there, or leave the name out"
            )
        is_completed = False
        if self._server_url is not None and not is_complete(config):
            with TritonServer(self._server_url) as server:
                try:
                    answer = server.configuration(name)
                except ServerError as err:
                    err.add_note(
                        f"{name} leaves its configuration to the server: load it there"
                    )
                    raise
            config, is_completed = configuration_of_server(answer), True
        return ModelFolder(name, folder, config, is_written, is_completed, versions)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have
        return False
