"""A command that ends when it is told to, and also when gpupack ends without a word."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Self

from gpupack.profiling.embedded import server_guard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class GuardedProcess:
    """A running command with a guard process beside it (see ``server_guard``).

    Args:
        command: The program and its arguments.
        folder: Its private folder, which the guard removes if gpupack is gone.
        output: Where standard output and error go.
        environment: All of its variables.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        output: IO[bytes],
        environment: Mapping[str, str],
    ) -> None:
        guard = [sys.executable, "-I", "-S", server_guard.__file__, str(folder)]
        self._guard = subprocess.Popen(
            [*guard, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        with self._guard.stdout as told:
            line = told.readline().strip()
        self.pid = int(line) if line.isdecimal() else None
        """The command's process id; None if it could not be executed."""

    @property
    def is_running(self) -> bool:
        """Whether the command is alive."""
        return self._guard.poll() is None

    def stop(self, *, at_once: bool = False) -> None:
        """End the command, wait until it and everything it started are gone.

        ``at_once`` does not ask it to end by itself, which takes a second and more.
        """
        assert self._guard.stdin is not None
        if at_once and self.pid is not None and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._guard.stdin.close()
        try:
            self._guard.wait(timeout=server_guard.GRACE_S + 2)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()


class StartsProcess:
    """What runs one guarded process: started on entering it, stopped on leaving."""

    _process: GuardedProcess | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.is_running

    def start(self) -> None:
        """Start the process and wait until it is ready; nothing if it runs."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the process; nothing if it does not run."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
