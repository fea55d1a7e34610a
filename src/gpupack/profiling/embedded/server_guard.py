"""Keeps a server from outliving gpupack: a small process between the two.

Run as ``python -I -S server_guard.py FOLDER COMMAND…`` in a session of its own. It
starts the command, and ends it when its own standard input closes, which happens
however gpupack goes: an exception, Ctrl-C, or ``kill -9``. Then it removes the server's
folder, and the shared memory that is named after it. It needs the standard library
alone.

The parent-death signal of Linux was rejected for this: it fires when the *thread* that
started the process ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
GRACE_S = 2.5
"""How long a server may take to exit by itself before it is killed."""


def guard(folder: Path, command: list[str]) -> int:
    """Run ``command`` until it exits or standard input closes; return its exit code."""
    # The guard leads the process group: what it forwards to the group, it must survive.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Standard output is gpupack's; what models print belongs into the log.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    with contextlib.suppress(OSError):  # gpupack may be gone already
        os.write(sys.stdout.fileno(), f"{server.pid}\n".encode())
    stdin_fd = sys.stdin.fileno()
    exited_fd = os.pidfd_open(server.pid)
    readable, _, _ = select.select([stdin_fd, exited_fd], [], [])
    if exited_fd not in readable:
        server.send_signal(signal.SIGTERM)
        gone, _, _ = select.select([exited_fd], [], [], GRACE_S)
        if not gone:
            server.kill()
    exit_code = server.wait()
    # What the server left behind: the processes its models ran in.
    _kill_group()
    if stdin_fd in readable:
        # Gpupack is gone or has let go. If the command ended by itself, gpupack still
        # wants to read the log in the folder, and removes it.
        remove_traces(folder)
    else:
        remove_shared_memory(folder)
    return exit_code


def remove_traces(folder: Path) -> None:
    """Remove the server's private folder, and its shared memory."""
    shutil.rmtree(folder, ignore_errors=True)
    remove_shared_memory(folder)


def remove_shared_memory(folder: Path) -> None:
    """Remove the server's shared memory, which is named after its folder."""
    for region in SHARED_MEMORY.glob(f"{folder.name}*"):
        region.unlink(missing_ok=True)


def _kill_group() -> None:
    group, own = os.getpgrp(), os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 (no more than the names)
        if not name.isdecimal() or int(name) == own:
            continue
        try:
            if os.getpgid(int(name)) == group:
                os.kill(int(name), signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


if __name__ == "__main__":
    code = guard(Path(sys.argv[1]), sys.argv[2:])
    sys.exit(128 - code if code < 0 else code)
