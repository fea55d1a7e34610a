"""What runs bare model files: ONNX Runtime and PyTorch in an environment of their own.

It lies beside the embedded server in the user's cache, so that models of repositories
keep the plain one, and grows when another runtime is asked for.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.profiling.devices import has_driver
from gpupack.profiling.embedded.installation import (
    NUMPY_REQUIREMENT,
    base_python,
    cache_folder,
    locked,
    removed,
    run_command,
)
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gpupack.profiling.embedded.installation import InstallProgress

_MARKER = "installed.json"
_FOLDER = "model-runtimes"
_INSTALL_TIMEOUT_S = 3600
_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_OFFLINE = (
    "put the wheels into a folder and set PIP_NO_INDEX=1 and PIP_FIND_LINKS=FOLDER, or "
    "name a Python that has them with --server-python"
)


class ModelRuntime(StrEnum):
    """What model files are run by."""

    ONNX = "onnx"
    TORCH = "torch"

    @property
    def full_name(self) -> str:
        """What people call it."""
        return {"onnx": "ONNX Runtime", "torch": "PyTorch"}[self.value]

    @classmethod
    def parse_all(cls, text: str) -> tuple[ModelRuntime, ...]:
        """Return the runtimes of a list with commas, each once.

        Raises:
            UnknownNameError: There is none of a name; names those there are.
        """
        names = [one.strip().lower() for one in text.split(",") if one.strip()]
        unknown = [one for one in names if one not in {*cls}]
        if unknown or not names:
            raise UnknownNameError(
                f"unknown runtime {quoted(unknown[0] if unknown else text)}; there are "
                f"{', '.join(cls)}"
            )
        return tuple(dict.fromkeys(map(cls, names)))

    def requirements(self, *, on_gpu: bool) -> tuple[str, ...]:
        """Return what pip installs for it."""
        if self is ModelRuntime.ONNX:
            build = "onnxruntime-gpu[cuda,cudnn]" if on_gpu else "onnxruntime"
            return (build, "onnx")
        return ("torch", "transformers", "safetensors")


@dataclass(frozen=True)
class RuntimeInstallation:
    """The environment of runtimes.

    Attributes:
        python: Its interpreter, which models run in.
        builds: ``gpu`` or ``cpu`` by runtime, for those that are installed.
    """

    python: Path
    builds: dict[ModelRuntime, str]


def runtimes_folder() -> Path:
    """Return where runtimes are, or would be, installed."""
    return cache_folder() / _FOLDER


def find_runtimes() -> RuntimeInstallation | None:
    """Return the environment of runtimes in the user's cache, None if there is none."""
    folder = runtimes_folder()
    try:
        marker = json.loads((folder / _MARKER).read_text())
        found = RuntimeInstallation(
            python=folder / marker["python"],
            builds={
                ModelRuntime(name): str(one) for name, one in marker["builds"].items()
            },
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return found if found.python.exists() else None


def install_runtimes(
    runtimes: Iterable[ModelRuntime], *, progress: InstallProgress | None = None
) -> RuntimeInstallation:
    """Install runtimes into the user's cache, those that are not there.

    Builds for GPUs where there is an NVIDIA driver; a build for CPUs that was installed
    before the driver is replaced.

    Raises:
        ServerUnavailableError: They cannot be had here, or no package index can be
            reached.
    """
    wanted = tuple(dict.fromkeys(runtimes))
    if not wanted:
        raise InvalidInputError("name at least one runtime, such as onnx")
    report = progress or (lambda step, num_steps, text: None)
    build = "gpu" if has_driver() else "cpu"
    folder = runtimes_folder()
    with locked(folder):
        found = find_runtimes()
        builds = {} if found is None else dict(found.builds)
        lacking = [one for one in wanted if builds.get(one) not in (build, "gpu")]
        if found is not None and not lacking:
            return found
        num_steps = len(lacking) + 1
        environment = folder / "env"
        python = environment / "bin" / "python3"
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            report(0, num_steps, "creating an environment")
            run_command(
                [base_python(), "-m", "venv", str(environment)],
                "create an environment",
                way_out=_OFFLINE,
            )
        for step, one in enumerate(lacking, start=1):
            report(step, num_steps, f"fetching {one.full_name} for the {build.upper()}")
            _install(python, one, on_gpu=build == "gpu", is_anew=one in builds)
            builds[one] = build
            marker = {"python": str(python.relative_to(folder)), "builds": builds}
            (folder / _MARKER).write_text(json.dumps(marker))
        report(num_steps, num_steps, "installed")
    return RuntimeInstallation(python=python, builds=builds)


def remove_runtimes() -> bool:
    """Remove the runtimes from the cache; False if there were none."""
    return removed(runtimes_folder())


def _install(
    python: Path, runtime: ModelRuntime, *, on_gpu: bool, is_anew: bool
) -> None:
    pip = [str(python), "-m", "pip"]
    purpose = f"install {runtime.full_name}"
    if is_anew:
        names = {"onnx": "onnxruntime", "torch": "torch"}
        run_command([*pip, "uninstall", "--yes", "--quiet", names[runtime]], purpose)
    command = [*pip, "install", "--quiet", "--no-input", NUMPY_REQUIREMENT]
    command += runtime.requirements(on_gpu=on_gpu)
    if runtime is ModelRuntime.TORCH and not on_gpu:
        # PyPI's own build is for GPUs, and some twenty times larger.
        command += ["--extra-index-url", _CPU_INDEX, "--retries", "1"]
    run_command(command, purpose, way_out=_OFFLINE, timeout_s=_INSTALL_TIMEOUT_S)
