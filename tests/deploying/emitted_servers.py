"""The emitted command lines, run with the embedded Triton's own program."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.profiling.embedded.embedded_server import _is_ready, _lay_out
from gpupack.profiling.embedded.installation import find_installation
from gpupack.profiling.embedded.model_python import inspect_python
from gpupack.store import read_deployment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_START_S = 60.0


def free_ports(number: int) -> int:
    """Return the first of so many ports in a row that nobody has now."""
    # Another run beside this one must not look at the same ones first.
    for first in random.sample(range(20000, 30000), 1000):
        with ExitStack() as stack:
            try:
                for port in range(first, first + number):
                    holder = stack.enter_context(socket.socket())
                    holder.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


@contextmanager
def tritonserver_on_path() -> Iterator[dict[str, str]]:
    """An environment in which ``tritonserver`` is the embedded one's binary.

    It runs with the embedded server's backends and Python; all else on the command
    line is as emitted.
    """
    installation = find_installation()
    assert installation is not None
    python = inspect_python(installation.python)
    with tempfile.TemporaryDirectory(prefix="gpupack-emitted-") as name:
        folder = Path(name)
        _lay_out(installation, python, folder / "backends", folder)
        program = folder / "bin" / "tritonserver"
        program.parent.mkdir()
        line = shlex.join(
            [
                str(installation.tritonserver),
                f"--backend-directory={folder / 'backends'}",
                "--exit-timeout-secs=1",
                "--disable-auto-complete-config",
                f"--backend-config=python,shm-region-prefix-name={folder.name}-",
            ]
        )
        program.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        program.chmod(0o755)
        libraries = f"{folder / 'lib'}:{installation.libraries}"
        path = f"{program.parent}:{python.executable.parent}:{os.environ['PATH']}"
        yield {**os.environ, "LD_LIBRARY_PATH": libraries, "PATH": path}


@contextmanager
def running(
    folder: Path, environment: dict[str, str], *, only: Sequence[str] | None = None
) -> Iterator[dict[str, str]]:
    """Run the scripts of a deployment; URLs by server name, once all are ready."""
    record = read_deployment(folder)
    scripts = sorted(folder.glob("gpu-*.sh"))
    scripts = [one for one in scripts if only is None or one.stem in only]
    log = folder.parent / f"{folder.name}.log"
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        processes = []
        for script in scripts:
            process = subprocess.Popen(
                [str(script)],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(_end, process)
            processes.append(process)
        urls = {}
        deadline = time.monotonic() + _START_S
        for server in record.servers:
            if only is not None and f"gpu-{server.gpu_index}" not in only:
                continue
            assert server.http_port is not None
            while not _is_ready(server.http_port):
                told = log.read_text(errors="replace")[-3000:]
                assert all(one.poll() is None for one in processes), told
                assert time.monotonic() < deadline, told
                time.sleep(0.05)
            urls[server.name] = f"http://127.0.0.1:{server.http_port}"
        yield urls


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
