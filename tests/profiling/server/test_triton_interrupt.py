"""Ctrl-C while a server is asked over HTTP."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gpupack.profiling.embedded.embedded_server import EmbeddedServer

INTERRUPTED_59_TIMES = """\
import os, signal, sys, threading
from gpupack.profiling.server.triton import TritonServer

signal.signal(signal.SIGINT, signal.default_int_handler)
server = TritonServer(sys.argv[1])
server.version()
num_raised = 0
for delay_ms in range(1, 60):
    timer = threading.Timer(delay_ms / 1000, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        while timer.is_alive():
            server.repository()
        server.repository()
    except KeyboardInterrupt:
        num_raised += 1
print(num_raised)
"""


@pytest.mark.triton
def test_interrupts_reach_the_caller_and_nothing_is_printed(
    triton: EmbeddedServer,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_59_TIMES, triton.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    # One after the other, so that some come while a socket is closed.
    assert int(done.stdout) == 59
    assert done.stderr == ""
