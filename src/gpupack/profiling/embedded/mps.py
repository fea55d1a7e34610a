"""A private MPS daemon: kernels of the server's model processes run side by side.

NVIDIA's Multi-Process Service lets processes share a GPU without taking turns. The
daemon started here has pipe and log folders of its own, so that no other user of the
GPU is drawn in, and changes no setting of the GPU (the compute mode stays as it is).

Source: NVIDIA, "Multi-Process Service" (environment variables, control commands).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.errors import ServerUnavailableError
from gpupack.profiling.embedded.guarded_process import GuardedProcess, StartsProcess

if TYPE_CHECKING:
    pass

CONTROL_NAME = "nvidia-cuda-mps-control"
"""The control program; the driver's packages bring it."""

PIPE_VARIABLE = "CUDA_MPS_PIPE_DIRECTORY"
"""What makes a process a client of the daemon in that folder."""

_START_TIMEOUT_S = 15.0
_COMMAND_TIMEOUT_S = 10.0
_LOG_LINES = 8


class MpsDaemon(StartsProcess):
    """An MPS control daemon for one server, running inside a ``with`` block.

    Give ``environment`` to the processes that shall share the GPU. At the end, also
    when the end is an exception, the daemon is asked to quit and waited for; when
    gpupack itself is killed, a guard process ends it.

    Args:
        control: The control program; by default the one on the ``PATH``.
        gpu_uuids: Serve these GPUs only; by default all that are visible.

    Raises:
        ServerUnavailableError: There is no control program here.
    """

    def __init__(
        self, *, control: Path | str | None = None, gpu_uuids: tuple[str, ...] = ()
    ) -> None:
        found = shutil.which(str(control or CONTROL_NAME))
        if found is None:
            raise ServerUnavailableError(
                f"sharing a GPU through MPS needs {control or CONTROL_NAME}, which is "
                "not on the PATH; install the driver's compute utilities (Debian, "
                "Ubuntu: nvidia-compute-utils), or use sharing='time_slicing'"
            )
        self._control = found
        self._gpu_uuids = gpu_uuids
        self._folder: Path | None = None

    @staticmethod
    def is_installed() -> bool:
        """Return whether the control program is on the ``PATH``."""
        return shutil.which(CONTROL_NAME) is not None

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process a client of this daemon.

        Raises:
            ServerUnavailableError: The daemon is not running.
        """
        if self._folder is None:
            raise ServerUnavailableError("the MPS daemon is not running")
        return {
            PIPE_VARIABLE: str(self._folder / "pipe"),
            "CUDA_MPS_LOG_DIRECTORY": str(self._folder / "log"),
        }

    def start(self) -> None:
        """Start the daemon and wait until it answers; nothing if it runs.

        Raises:
            ServerUnavailableError: It exited or did not answer in time; the message
                has the end of its log.
        """
        if self.is_running:
            return
        self.stop()
        # Short: a UNIX socket's path may have no more than 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="gpupack-mps-"))
        for name in ("pipe", "log"):
            (self._folder / name).mkdir()
        environment = os.environ | self.environment
        if self._gpu_uuids:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(self._gpu_uuids)
        output = (self._folder / "log" / "output.log").open("ab")
        with output:
            # In the foreground (-f), so that the guard has a process to watch and end.
            self._process = GuardedProcess(
                [self._control, "-f"],
                folder=self._folder,
                output=output,
                environment=environment,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self.is_running:
            if self._answers():
                return
            time.sleep(0.05)
        tail = self.log_tail()
        self.stop()
        raise ServerUnavailableError(
            "the MPS daemon did not start; use sharing='time_slicing', or see what it "
            f"says:\n{tail}"
        )

    def stop(self) -> None:
        """Ask the daemon to quit, wait until it is gone, and remove its folders."""
        process, self._process = self._process, None
        if process is not None:
            if process.is_running:
                self._command("quit")
            process.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def server_pids(self) -> tuple[int, ...]:
        """Return the MPS servers that run: none until a first client came."""
        answer = self._command("get_server_list") or ""
        return tuple(int(line) for line in answer.split() if line.isdecimal())

    def log_tail(self) -> str:
        """Return the last lines of the daemon's logs."""
        if self._folder is None:
            return ""
        lines: list[str] = []
        for path in sorted((self._folder / "log").glob("*.log")):
            with contextlib.suppress(OSError):
                text = path.read_text(errors="replace")
                lines += text.splitlines()[-_LOG_LINES:]
        return "\n".join(lines) or "(no log)"

    def _answers(self) -> bool:
        return self._command("get_server_list") is not None

    def _command(self, text: str) -> str | None:
        """Return what the daemon answers, None if it does not."""
        try:
            done = subprocess.run(
                [self._control],
                input=text + "\n",
                capture_output=True,
                text=True,
                env=os.environ | self.environment,
                timeout=_COMMAND_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        failed = done.returncode != 0 or "cannot find" in done.stdout.lower()
        return None if failed else done.stdout
