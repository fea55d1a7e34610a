"""Notice that a server is not the one any more that a measurement began with."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from gpupack.errors import ServerError
from gpupack.profiling.session.server_session import find_listener

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.profiling.server import TritonServer


SETTLING_S = 0.5
"""Until a request that was answered is surely counted."""


class RestartWatch:
    """Watches the servers of some models, each by its counters and its process.

    A server counts the requests of a model from its start on, so that a count which
    lacks requests that it had counted, or has answered since, shows a restart, also of
    a server on another host; one on this host has another process.

    Args:
        servers: By model, the one that has it loaded.
    """

    def __init__(self, servers: Mapping[str, TritonServer]) -> None:
        self._servers = dict(servers)
        self._counts = {
            name: server.statistics(name).num_requests
            for name, server in servers.items()
        }
        self._processes = {
            str(server.url): _process(server) for server in servers.values()
        }

    def expect_reload(self, name: str) -> None:
        """Take note that a model was loaded anew, which begins its counts anew."""
        self._counts[name] = self._servers[name].statistics(name).num_requests

    def find_restart(self, answered: Mapping[str, int] | None = None) -> str | None:
        """Return what shows that a server was restarted, in words; None if nothing.

        A server that does not answer shows nothing.

        Args:
            answered: Requests by model that have been answered since this was last
                asked, or fewer.
        """
        for server in {str(one.url): one for one in self._servers.values()}.values():
            before, now = self._processes[str(server.url)], _process(server)
            if before is not None and now is not None and before != now:
                return (
                    f"the server at {server.url} was restarted: it was process "
                    f"{before[0]}, and is process {now[0]}"
                )
        for name, server in self._servers.items():
            with suppress(ServerError):
                least = self._counts[name] + (answered or {}).get(name, 0)
                now_counted = server.statistics(name).num_requests
                if now_counted < least:
                    time.sleep(SETTLING_S)
                    now_counted = server.statistics(name).num_requests
                if now_counted < least:
                    return (
                        f"the server at {server.url} was restarted, or {name} loaded "
                        f"anew: it had counted or answered {least:,} requests of "
                        f"{name}, and has counted {now_counted:,} now"
                    )
                self._counts[name] = now_counted
        return None


def _process(server: TritonServer) -> tuple[int, float] | None:
    """Return the process that answers, by number and beginning; None if unknown."""
    pid = find_listener(server.url)
    if pid is None:
        return None
    try:
        return pid, psutil.Process(pid).create_time()
    except psutil.Error:
        return None
