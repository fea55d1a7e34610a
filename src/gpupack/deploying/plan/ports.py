"""Ports of the servers that share a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.deploying.options import MAX_PORT, PORTS_PER_SERVER
from gpupack.errors import InvalidInputError
from gpupack.spelling import setting

if TYPE_CHECKING:
    from gpupack.deploying.options import DeployOptions


class Ports:
    """Hands out ports, three to a server, none twice, and not the router's."""

    def __init__(self, options: DeployOptions) -> None:
        self._first = options.first_port
        self._router = options.router_port
        self._next = options.first_port
        self._next_of = dict(options.ports)
        self._given: dict[int, list[tuple[int, int, int]]] = {}

    def take(self, gpu_index: int) -> tuple[int, int, int]:
        """Return the ports of the next server of a GPU."""
        if gpu_index in self._next_of:
            first = self._next_of[gpu_index]
            self._next_of[gpu_index] = first + PORTS_PER_SERVER
        else:
            first = self._next
            # The first server is where it was asked to be, or check() refuses it.
            if first != self._first and first <= self._router < (
                first + PORTS_PER_SERVER
            ):
                first = self._router + 1
            self._next = first + PORTS_PER_SERVER
        ports = (first, first + 1, first + 2)
        self._given.setdefault(gpu_index, []).append(ports)
        return ports

    def check(self) -> None:
        """Refuse ports that two servers have, or the router, or that there are not.

        Raises:
            InvalidInputError: Naming the GPUs and the port.
        """
        owners: dict[int, int] = {}
        for gpu_index, servers in self._given.items():
            for port in (port for ports in servers for port in ports):
                if port > MAX_PORT:
                    raise InvalidInputError(
                        f"the servers of GPU {gpu_index} would need port {port}, and "
                        f"{MAX_PORT} is the last: begin lower with --first-port or "
                        "--port"
                    )
                if port == self._router:
                    raise InvalidInputError(
                        f"port {port} is that of GPU {gpu_index} and of the router in "
                        "front of the servers: give the servers others, or the router "
                        f"with {setting('router_port')}"
                    )
                if port in owners:
                    raise InvalidInputError(
                        f"port {port} is that of GPU {owners[port]} and of GPU "
                        f"{gpu_index}: each server takes three ports in a row; give "
                        "GPUs ports further apart"
                    )
                owners[port] = gpu_index
