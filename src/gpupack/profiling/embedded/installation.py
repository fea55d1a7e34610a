"""The embedded Triton on disk: an environment of its own in the user's cache.

The server comes from one wheel on PyPI, ``nvidia-pytriton``. It never goes into
gpupack's own environment: it pins numpy < 2, which gpupack's solver cannot live with.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gpupack.errors import InvalidInputError, ServerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE_NAME = "nvidia-pytriton"
PACKAGE_VERSION = "0.7.0"
TRITON_VERSION = "2.51.0"
MINIMUM_GLIBC = (2, 35)
"""From the wheel's platform tag, manylinux_2_35."""
STUB_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
"""Minor versions for which the wheel carries a Python backend stub."""
NUMPY_REQUIREMENT = "numpy>=1.21,<2"
"""The backend's bindings read numpy 1 arrays; those of numpy 2 come out empty."""
_NUMPY_1_PYTHONS = ("3.12", "3.11", "3.10", "3.9", "3.8")
_MARKER = "installed.json"
_COMMAND_TIMEOUT_S = 600
_WHEEL_WAY_OUT = (
    f"download the {PACKAGE_NAME} {PACKAGE_VERSION} wheel elsewhere and run `gpupack "
    "server install --wheel FILE`"
)


class InstallProgress(Protocol):
    """Told what an installation is doing."""

    def __call__(self, step: int, num_steps: int, text: str) -> None:
        """Step ``step`` of ``num_steps`` begins; ``step == num_steps`` is the end."""
        ...


@dataclass(frozen=True)
class ServerInstallation:
    """A server tree that can be started.

    Attributes:
        root: Folder that holds ``pytriton/tritonserver`` and ``nvidia_pytriton.libs``.
        python: The interpreter that models run in unless another is named.
    """

    root: Path
    python: Path

    @property
    def tritonserver(self) -> Path:
        """The server's binary."""
        return self.root / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def backend(self) -> Path:
        """The Python backend's own folder, without a stub."""
        return self.root / "pytriton" / "tritonserver" / "backends" / "python"

    @property
    def libraries(self) -> Path:
        """The shared libraries that the wheel bundles."""
        return self.root / "nvidia_pytriton.libs"

    def stub(self, python_version: str) -> Path:
        """Return the backend stub for ``python_version``, such as ``3.11``."""
        stubs = self.root / "pytriton" / "tritonserver" / "python_backend_stubs"
        return stubs / python_version / "triton_python_backend_stub"


def cache_folder() -> Path:
    """Return gpupack's folder in the user's cache; ``GPUPACK_CACHE_DIR`` moves it."""
    named = os.environ.get("GPUPACK_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "gpupack"


def installation_folder() -> Path:
    """Return where the embedded server is, or would be, installed."""
    return cache_folder() / f"triton-{PACKAGE_VERSION}"


def check_platform() -> None:
    """Refuse where the embedded server cannot run.

    Raises:
        ServerUnavailableError: Not Linux x86-64, or glibc older than the wheel needs.
    """
    here = f"{platform.system()} {platform.machine()}"
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise ServerUnavailableError(
            f"the embedded server runs on Linux x86-64 only, this is {here}; "
            "profile a running Triton with --url, or on another machine"
        )
    name, version = platform.libc_ver()
    if name == "glibc":
        found = tuple(int(part) for part in version.split(".")[:2])
        if found < MINIMUM_GLIBC:
            wanted = ".".join(map(str, MINIMUM_GLIBC))
            raise ServerUnavailableError(
                f"the embedded server needs glibc {wanted} or newer, this system has "
                f"{version}; profile a running Triton with --url, or use a newer system"
            )
    elif name:
        raise ServerUnavailableError(
            f"the embedded server needs glibc, this system has {name}; profile a "
            "running Triton with --url"
        )


def find_installation() -> ServerInstallation | None:
    """Return the embedded server in the user's cache, None if it is not installed."""
    folder = installation_folder()
    try:
        marker = json.loads((folder / _MARKER).read_text())
        installation = ServerInstallation(
            root=folder / marker["root"], python=folder / marker["python"]
        )
    except (OSError, ValueError, KeyError):
        return None
    return installation if installation.tritonserver.is_file() else None


def installation_at(root: Path, *, python: Path | None = None) -> ServerInstallation:
    """Return the server unpacked under ``root`` by other means.

    Args:
        root: A folder into which the wheel was unpacked, or a ``site-packages`` that
            holds ``pytriton``.
        python: The interpreter for the models; by default the one running gpupack.

    Raises:
        InvalidInputError: There is no server under ``root``.
    """
    installation = ServerInstallation(
        root=root.resolve(), python=python or Path(sys.executable)
    )
    if not installation.tritonserver.is_file():
        raise InvalidInputError(
            f"no embedded server under {root}: {installation.tritonserver} is missing; "
            f"unpack the {PACKAGE_NAME} {PACKAGE_VERSION} wheel there, or leave the "
            "folder out and run `gpupack server install`"
        )
    return installation


def install_server(
    *, wheel: Path | None = None, progress: InstallProgress | None = None
) -> ServerInstallation:
    """Install the embedded server into the user's cache, unless it is there.

    Args:
        wheel: The ``nvidia-pytriton`` wheel as a file; by default pip fetches it.
        progress: Told about each step.

    Raises:
        ServerUnavailableError: It cannot run here, or no package index can be reached.
        InvalidInputError: ``wheel`` is no file.
    """
    check_platform()
    if wheel is not None and not wheel.is_file():
        raise InvalidInputError(
            f"no wheel at {wheel}; download it with `pip download --no-deps "
            f"{PACKAGE_NAME}=={PACKAGE_VERSION}`"
        )
    report = progress or (lambda step, num_steps, text: None)
    folder = installation_folder()
    with locked(folder):
        found = find_installation()
        if found is not None:
            return found
        shutil.rmtree(folder, ignore_errors=True)
        try:
            installation = _install(folder, wheel=wheel, report=report)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return installation


def remove_server() -> bool:
    """Remove the embedded server from the cache; False if there was none."""
    return removed(installation_folder())


def _install(
    folder: Path, *, wheel: Path | None, report: InstallProgress
) -> ServerInstallation:
    environment = folder / "env"
    python = environment / "bin" / "python3"
    num_steps = 4
    report(0, num_steps, "creating an environment")
    run_command(
        [base_python(), "-m", "venv", str(environment)], "create an environment"
    )
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input"]
    report(1, num_steps, "installing numpy for the models")
    run_command([*pip, NUMPY_REQUIREMENT], "install numpy")
    source = str(wheel) if wheel else f"{PACKAGE_NAME}=={PACKAGE_VERSION}"
    report(2, num_steps, f"fetching {PACKAGE_NAME} {PACKAGE_VERSION} (55 MB)")
    run_command([*pip, "--no-deps", source], f"install {source}")
    report(3, num_steps, "checking")
    purelib = run_command(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        "look into the environment",
    ).strip()
    installation = ServerInstallation(root=Path(purelib), python=python)
    if not installation.tritonserver.is_file():
        raise InvalidInputError(
            f"{source} holds no Triton server for this system; gpupack needs "
            f"{PACKAGE_NAME} {PACKAGE_VERSION}"
        )
    marker = {
        "root": str(installation.root.relative_to(folder)),
        "python": str(python.relative_to(folder)),
        "package": f"{PACKAGE_NAME} {PACKAGE_VERSION}",
    }
    (folder / _MARKER).write_text(json.dumps(marker))
    report(num_steps, num_steps, "installed")
    return installation


def base_python() -> str:
    """Return a Python for which there is a backend stub and a numpy 1."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version in _NUMPY_1_PYTHONS:
        return sys.executable
    for other in _NUMPY_1_PYTHONS:
        found = shutil.which(f"python{other}")
        if found is not None:
            return found
    raise ServerUnavailableError(
        f"models in the embedded server run in Python {_NUMPY_1_PYTHONS[-1]} to "
        f"{_NUMPY_1_PYTHONS[0]} (they need numpy 1), gpupack runs in {version}, and no "
        f"other is on PATH; install one, such as python{_NUMPY_1_PYTHONS[0]}"
    )


def run_command(
    command: list[str],
    purpose: str,
    *,
    way_out: str = _WHEEL_WAY_OUT,
    timeout_s: float = _COMMAND_TIMEOUT_S,
) -> str:
    """Run one step of an installation, and return what it printed.

    Raises:
        ServerUnavailableError: It failed; tells the end of what it said.
    """
    # pip would otherwise refuse in an environment that sets PIP_REQUIRE_VIRTUALENV
    # or write where PYTHONPATH and PYTHONHOME of the caller point.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise ServerUnavailableError(
            f"could not {purpose} for the embedded server: {err}"
        ) from err
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip().splitlines()
        told = "; ".join(line.strip() for line in output[-4:]) or "no message"
        raise ServerUnavailableError(
            f"could not {purpose} for the embedded server: {told}. Without a package "
            f"index in reach, {way_out}"
        )
    return done.stdout


def removed(folder: Path) -> bool:
    """Remove what was installed in a folder; return whether there was anything."""
    if not folder.exists():
        return False
    with locked(folder):
        shutil.rmtree(folder)
    return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time install or remove."""
    lock = folder.with_name(folder.name + ".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    except OSError as err:
        raise ServerUnavailableError(
            f"cannot write the embedded server to {folder}: {err.strerror or err}; set "
            "GPUPACK_CACHE_DIR to a folder that can be written"
        ) from err
