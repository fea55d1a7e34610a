"""The process that sends requests: a closed loop or an open one, and nothing else.

Started by ``load_process`` as ``python -m gpupack.profiling.load.clients.load_worker``,
and told over a pipe what to do. It imports little, so that it starts in some 50 ms.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from gpupack.profiling.load.clients.load_report import LoadError


def serve(pipe: Connection) -> None:
    """Do what the pipe says until it closes."""
    _, target = pipe.recv()
    loop: Any
    if target["is_grpc"]:
        from gpupack.profiling.load.clients.load_grpc import GrpcLoop

        loop = GrpcLoop(target)
    else:
        from gpupack.profiling.load.clients.load_http import HttpLoop

        loop = HttpLoop(target)
    while True:
        try:
            command = pipe.recv()
        except EOFError:
            return
        try:
            if command[0] == "once":
                pipe.send(("response", loop.once(*command[1:])))
            elif command[0] == "run":
                _, requests, timeout_s, schedule, options = command
                num_left = loop.run(requests, timeout_s, pipe, schedule, **options)
                pipe.send(("stopped", num_left))
        except LoadError as err:
            pipe.send(("failed", str(err)))
        except EOFError:
            return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # gpupack says when to end
    with contextlib.suppress(ConnectionError):  # gpupack has gone or let go
        serve(Connection(int(sys.argv[1])))
