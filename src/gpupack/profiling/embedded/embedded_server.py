"""The embedded Triton: a real server on free loopback ports, started and stopped."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import shutil
import socket
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gpupack.errors import InvalidInputError, ServerError, ServerUnavailableError
from gpupack.files import AnyPath, as_path
from gpupack.profiling.embedded import server_guard
from gpupack.profiling.embedded.completion import completes_configurations
from gpupack.profiling.embedded.finalizing import finish
from gpupack.profiling.embedded.guarded_process import GuardedProcess, StartsProcess
from gpupack.profiling.embedded.installation import (
    ServerInstallation,
    cache_folder,
    check_platform,
    find_installation,
    install_server,
    installation_at,
)
from gpupack.profiling.embedded.model_python import ModelPython, inspect_python
from gpupack.profiling.embedded.mps import PIPE_VARIABLE
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.profiling.embedded.installation import InstallProgress

logger = logging.getLogger(__name__)

_START_TIMEOUT_S = 60.0
_LONGEST_LOOK_S = 2.0
_NUM_STARTS = 2
_NUM_KEPT_LOGS = 20
_LOOPBACK = "127.0.0.1"


class EmbeddedServer(StartsProcess):
    """A real Triton of its own for one model repository.

    Used as a context: it runs inside, and is stopped and waited for at the end, also
    when the end is an exception. When gpupack itself is killed, a guard process stops
    it. Models are loaded on request only (explicit model control).

    Args:
        model_repository: Folder of models in Triton's layout.
        python: The Python that models run in; by default the installation's own.
        root: A server tree unpacked by other means, instead of the installed one.
        environment: Variables set for the server on top of gpupack's own, such as
            those that make it a client of a private MPS daemon.
        log_path: Where its output goes; by default a new file in the user's cache.
        arguments: Further arguments for ``tritonserver``.
        install: Install the server if it is not there.
        progress: Told about the steps of that installation.
        start_timeout_s: How long the server may take until it is ready.

    Raises:
        InvalidInputError: The repository or the Python cannot be used.
        ServerUnavailableError: The server cannot be had here.
    """

    def __init__(
        self,
        model_repository: AnyPath,
        *,
        python: AnyPath | None = None,
        root: AnyPath | None = None,
        environment: Mapping[str, str] | None = None,
        log_path: Path | str | None = None,
        arguments: Sequence[str] = (),
        install: bool = True,
        progress: InstallProgress | None = None,
        start_timeout_s: float = _START_TIMEOUT_S,
    ) -> None:
        self.model_repository = find_repository(model_repository)
        check_platform()
        self.installation = _installation(root, install=install, progress=progress)
        self.python = inspect_python(Path(python or self.installation.python))
        self.log_path = Path(log_path) if log_path else _new_log_path()
        self._environment = dict(environment or {})
        self._arguments = tuple(arguments)
        self._start_timeout_s = start_timeout_s
        self._folder: Path | None = None
        self._ports: tuple[int, int, int] = (0, 0, 0)

    @property
    def url(self) -> str:
        """Where the server answers HTTP."""
        return f"http://{_LOOPBACK}:{self._ports[0]}"

    @property
    def grpc_url(self) -> str:
        """Where the server answers gRPC."""
        return f"grpc://{_LOOPBACK}:{self._ports[1]}"

    @property
    def metrics_url(self) -> str:
        """Where the server publishes Prometheus metrics."""
        return f"http://{_LOOPBACK}:{self._ports[2]}/metrics"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that were given for the server."""
        return dict(self._environment)

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            ServerError: It is not running.
        """
        if self._process is None or self._process.pid is None:
            raise ServerError("the embedded server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it is ready; nothing if it runs.

        A server that hangs is given up for another one, once.

        Raises:
            ServerError: It exited, or was not ready in time; the message has the end
                of its log.
        """
        if self.is_running:
            return
        self.stop()
        fate = ""
        try:
            for _ in range(_NUM_STARTS):
                self._ports = _free_ports()
                self._launch()
                if self._wait_until_ready():
                    return
                hangs = self.is_running
                # Between choosing a port and binding it, another process may take it.
                taken = "already in use" in self.log_tail(50)
                fate = (
                    f"was not ready within {self._start_timeout_s:g} s"
                    if hangs
                    else "exited before it was ready"
                )
                self.stop()
                if not (hangs or taken):
                    break
                logger.info("the embedded server %s; starting another", fate)
        except BaseException:
            self.stop()
            raise
        raise ServerError(
            f"the embedded server {fate}; its log, {self.log_path}, ends with:\n"
            + self.log_tail()
        )

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server, wait until it and its models' processes are gone.

        ``at_once`` leaves it no time to unload models, but for those whose code has
        something to do then (``finalize()``): they get a few seconds. Under MPS all
        are unloaded: a client that is killed may leave the MPS server in an undefined
        state.
        """
        process, self._process = self._process, None
        if process is not None:
            is_killed = at_once and PIPE_VARIABLE not in (
                os.environ | self._environment
            )
            try:
                if is_killed and process.is_running:
                    finish(self.url, self.model_repository)
            finally:
                process.stop(at_once=is_killed)
        if self._folder is not None:
            server_guard.remove_traces(self._folder)  # if the guard could not
            self._folder = None

    def restart(self, *, at_once: bool = False) -> None:
        """Stop what is left of the server and start it anew, on new ports."""
        self.stop(at_once=at_once)
        self.start()

    def log_tail(self, num_lines: int = 12) -> str:
        """Return the last lines of the server's log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - 64 * 1024))
                text = log.read().decode(errors="replace")
        except OSError as err:
            return f"(no log: {err})"
        return "\n".join(text.splitlines()[-num_lines:])

    def _launch(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gpupack-server-"))
        backends = self._folder / "backends"
        _lay_out(self.installation, self.python, backends, self._folder)
        environment = self._server_environment(self._folder)
        http_port, grpc_port, metrics_port = self._ports
        command = [
            str(self.installation.tritonserver),
            f"--model-repository={self.model_repository}",
            f"--backend-directory={backends}",
            "--model-control-mode=explicit",
            "--exit-timeout-secs=1",
            # A killed server leaves its shared memory behind: named so that stop() can
            # tell it from others'.
            f"--backend-config=python,shm-region-prefix-name={self._folder.name}-",
            f"--http-address={_LOOPBACK}",
            f"--http-port={http_port}",
            f"--grpc-address={_LOOPBACK}",
            f"--grpc-port={grpc_port}",
            f"--metrics-address={_LOOPBACK}",
            f"--metrics-port={metrics_port}",
            *self._arguments,
        ]
        if not completes_configurations(self.model_repository):
            # Completing takes 2 s per load, also where there is nothing to complete.
            command.append("--disable-auto-complete-config")
        with _open_log(self.log_path) as log:
            self._process = GuardedProcess(
                command, folder=self._folder, output=log, environment=environment
            )
        if self._process.pid is None:
            self.stop()
            raise ServerUnavailableError(
                f"the embedded server cannot be executed; {self.log_path} ends with:\n"
                + self.log_tail()
            )

    def _server_environment(self, folder: Path) -> dict[str, str]:
        environment = dict(os.environ)
        environment |= self._environment
        libraries = [str(folder / "lib"), str(self.installation.libraries)]
        if environment.get("LD_LIBRARY_PATH"):
            libraries.append(environment["LD_LIBRARY_PATH"])
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
        python_folder = str(self.python.executable.parent)
        environment["PATH"] = os.pathsep.join(
            [python_folder, environment.get("PATH", os.defpath)]
        )
        return environment

    def _wait_until_ready(self) -> bool:
        waited_s = 0.0
        while waited_s < self._start_timeout_s:
            began_s = time.monotonic()
            if not self.is_running:
                return False
            if _is_ready(self._ports[0]):
                return True
            time.sleep(0.01)
            # While the whole machine stands still (a virtual one that is moved, say),
            # the clock may go on, but the server does not: that is no waiting.
            waited_s += min(time.monotonic() - began_s, _LONGEST_LOOK_S)
        return False


def _installation(
    root: AnyPath | None, *, install: bool, progress: InstallProgress | None
) -> ServerInstallation:
    if root is not None:
        return installation_at(Path(root))
    found = find_installation()
    if found is None and install:
        found = install_server(progress=progress)
    if found is None:
        raise ServerUnavailableError(
            "the embedded server is not installed; run `gpupack server install`, or "
            "profile a running Triton with --url"
        )
    return found


def _lay_out(
    installation: ServerInstallation, python: ModelPython, backends: Path, folder: Path
) -> None:
    """Make a private backend folder with the stub that fits the models' Python."""
    target = backends / "python"
    shutil.copytree(installation.backend, target)
    stub = target / "triton_python_backend_stub"
    shutil.copy(installation.stub(python.version), stub)
    stub.chmod(0o755)
    libraries = folder / "lib"
    libraries.mkdir()
    if python.library is not None:
        # The one library alone: its folder may hold others that models must not get.
        (libraries / f"libpython{python.version}.so.1.0").symlink_to(python.library)


def _free_ports() -> tuple[int, int, int]:
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(3):
            holder = stack.enter_context(socket.socket())
            holder.bind((_LOOPBACK, 0))
            ports.append(int(holder.getsockname()[1]))
    return ports[0], ports[1], ports[2]


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=1)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _new_log_path() -> Path:
    folder = cache_folder() / "logs"
    now = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    with contextlib.suppress(OSError):
        for old in sorted(folder.glob("tritonserver-*.log"))[:-_NUM_KEPT_LOGS]:
            old.unlink(missing_ok=True)
    return folder / f"tritonserver-{now}-{os.getpid()}.log"


def _open_log(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as err:
        raise ServerUnavailableError(
            f"cannot write the server's log to {path}: {err.strerror or err}"
        ) from err


def find_repository(path: AnyPath) -> Path:
    """Return the absolute path of a model repository.

    Raises:
        InvalidInputError: There is no such folder, or it is a model itself.
    """
    repository = as_path(path)
    if not repository.is_dir():
        raise InvalidInputError(
            f"no model repository at {quoted(str(path))}; it is a folder with one "
            "folder per model, each with a config.pbtxt and numbered versions"
        )
    repository = repository.resolve()
    if (repository / "config.pbtxt").is_file():
        raise InvalidInputError(
            f"{path} is a model itself, not a repository of models: give the folder "
            f"that it is in, {repository.parent}"
        )
    return repository
