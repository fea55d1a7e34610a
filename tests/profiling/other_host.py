"""Another host: a network namespace with a real Triton, at the far end of a cable.

Run as ``python -m tests.profiling.other_host REPOSITORY ADDRESS`` it is that host's
server: an embedded Triton with a gateway before it on the host's address, until its
standard input closes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.profiling.embedded.embedded_server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEST_NETWORKS = ip_network("198.18.0.0/15")
"""Addresses that networks are tested with, and nobody else uses (RFC 2544)."""
_IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class NoOtherHostError(Exception):
    """Why no other host can be made here."""


@dataclass(frozen=True)
class OtherHost:
    """A host beside this one, with a server on it."""

    address: str
    http_port: int
    grpc_port: int


@contextmanager
def other_host(repository: Path) -> Iterator[OtherHost]:
    """Put a host with a server beside this one, and take it away again.

    Raises:
        NoOtherHostError: There is no ``ip``, or it may not be used for this.
    """
    # Of its own for each run of the tests, several of which may share this host.
    pid = os.getpid()
    name, near, far = f"gpupack{pid}", f"gpn{pid}", f"gpf{pid}"
    first = _TEST_NETWORKS.network_address + 4 * (pid % (1 << 14))
    near_address, address = str(first + 1), str(first + 2)
    with ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        stack.callback(_ip, "link", "delete", near)
        _ip("address", "add", f"{near_address}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "address", "add", f"{address}/30", "dev", far)
        _ip("-n", name, "link", "set", far, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        assert _IP is not None
        python = [sys.executable, "-m", __name__, str(repository), address]
        server = stack.enter_context(
            subprocess.Popen(
                [_IP, "netns", "exec", name, *python],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        )
        assert server.stdin is not None
        assert server.stdout is not None
        stack.callback(server.stdin.close)
        http_port, grpc_port = map(int, server.stdout.readline().split())
        yield OtherHost(address, http_port, grpc_port)


def _ip(*arguments: str) -> None:
    if _IP is None:
        raise NoOtherHostError("there is no `ip` here (Debian: apt install iproute2)")
    done = subprocess.run(
        [_IP, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NoOtherHostError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _gateway(address: str, inner_port: int) -> int:
    """Hand on what comes to the address; return the port."""
    listener = socket.create_server((address, 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def forward() -> None:
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", inner_port))
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=forward, daemon=True).start()
    return int(listener.getsockname()[1])


def _serve(repository: str, address: str) -> None:
    with EmbeddedServer(repository) as server:
        inner = [int(url.rpartition(":")[2]) for url in (server.url, server.grpc_url)]
        print(*[_gateway(address, port) for port in inner], flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
