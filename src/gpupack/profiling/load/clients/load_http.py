"""Load over HTTP: raw keep-alive sockets and ``epoll`` in one thread.

Little is spent on a response: requests' bytes were built once, and heads of responses
are parsed only when they change.
"""

from __future__ import annotations

import contextlib
import select
import time
from typing import TYPE_CHECKING, Any

from gpupack.profiling.load.clients.http_exchange import (
    Exchange,
    SequenceExchange,
    VaryingExchange,
    drain,
    error_text,
    is_success,
    open_socket,
)
from gpupack.profiling.load.clients.load_report import (
    CLOSE_S,
    TICK_NS,
    LoadError,
    Reporter,
)
from gpupack.profiling.load.clients.open_loop import run_open_loop
from gpupack.profiling.load.sequences import Sequence

if TYPE_CHECKING:
    import socket
    from multiprocessing.connection import Connection

    from gpupack.profiling.load.schedule import Schedule
    from gpupack.profiling.load.sequences import SequencePlan
    from gpupack.profiling.load.tensors import Variation


class HttpLoop:
    """Keeps one request in flight on each of several connections."""

    def __init__(self, target: dict[str, Any]) -> None:
        self._target = target
        self._is_tls = target["tls"] is not None
        self._once_s = 0.0
        """How long the last request took that was sent alone."""

    def once(self, request: bytes, timeout_s: float) -> bytes:
        """Send one request and return its whole response."""
        sock = open_socket(self._target, timeout_s)
        with contextlib.closing(sock):
            exchange = Exchange(sock, request)
            sock.settimeout(timeout_s)
            begin_s = time.monotonic()
            deadline = begin_s + timeout_s
            try:
                sock.sendall(request)
                while time.monotonic() < deadline:
                    response = exchange.receive()
                    if response is not None:
                        break
                else:
                    raise LoadError(f"no response within {timeout_s:g} s")
            except TimeoutError as err:
                raise LoadError(f"no response within {timeout_s:g} s") from err
            except LoadError as err:
                if isinstance(err.__cause__, TimeoutError):
                    raise LoadError(f"no response within {timeout_s:g} s") from err
                raise
        if not is_success(response):
            raise LoadError(error_text(response))
        self._once_s = time.monotonic() - begin_s
        return response

    def run(
        self,
        requests: list[bytes],
        timeout_s: float,
        pipe: Connection,
        schedule: Schedule | None = None,
        variation: Variation | None = None,
        sequences: SequencePlan | None = None,
    ) -> int:
        """Drive the server until the pipe says stop; report every tick.

        In a closed loop, or in an open one where there is a ``schedule``. Returns how
        many requests were left unanswered.
        """
        exchanges: dict[int, Exchange] = {}

        def connect(request: bytes) -> int:
            sock = open_socket(self._target, timeout_s)
            if not self._is_tls:  # else its handshake was a greeting
                self._greet(sock, timeout_s)
            sock.setblocking(False)
            if sequences is not None:
                own = Sequence(sequences, len(exchanges), len(requests))
                exchanges[sock.fileno()] = SequenceExchange(sock, request, own)
            elif variation is not None:
                exchanges[sock.fileno()] = VaryingExchange(sock, request, variation)
            else:
                exchanges[sock.fileno()] = Exchange(sock, request)
            return sock.fileno()

        try:
            if schedule is not None:
                num_left = run_open_loop(
                    exchanges,
                    requests,
                    connect,
                    schedule,
                    timeout_s=timeout_s,
                    pipe=pipe,
                    is_tls=self._is_tls,
                    expected_s=self._once_s,
                )
            else:
                for request in requests:
                    connect(request)
                num_left = self._run_closed_loop(exchanges, timeout_s, pipe)
            for exchange in exchanges.values():
                if isinstance(exchange, SequenceExchange) and not num_left:
                    exchange.end_sequence(CLOSE_S)
            return num_left
        finally:
            for exchange in exchanges.values():
                exchange.sock.close()

    def _run_closed_loop(
        self, exchanges: dict[int, Exchange], timeout_s: float, pipe: Connection
    ) -> int:
        poller = select.epoll()
        clock = time.monotonic_ns
        try:
            for fd in exchanges:
                poller.register(fd, select.EPOLLIN)
            pipe_fd = pipe.fileno()
            poller.register(pipe_fd, select.EPOLLIN)
            report = Reporter(pipe)
            for fd, exchange in exchanges.items():
                if not exchange.send(clock()):
                    poller.modify(fd, select.EPOLLIN | select.EPOLLOUT)
            next_tick = clock() + TICK_NS
            timeout_ns = int(timeout_s * 1e9)
            tick_s = TICK_NS / 1e9
            is_tls = self._is_tls
            while True:
                for fd, event in poller.poll(tick_s):
                    if fd == pipe_fd:
                        pipe.recv()
                        busy = set(exchanges)
                        num_left = drain(poller, exchanges, busy, pipe_fd, timeout_s)
                        report.tick()
                        return num_left
                    exchange = exchanges[fd]
                    if event & select.EPOLLOUT and exchange.send_more():
                        poller.modify(fd, select.EPOLLIN)
                    if not event & ~select.EPOLLOUT and not is_tls:
                        continue
                    response = exchange.receive()
                    if response is None:
                        continue
                    now = clock()
                    if response[9:12] != b"200":
                        raise LoadError(error_text(response))
                    report.ends.append(now)
                    report.latencies.append(now - exchange.started_ns)
                    if not exchange.send(now):
                        poller.modify(fd, select.EPOLLIN | select.EPOLLOUT)
                now = clock()
                if now >= next_tick:
                    report.tick()
                    next_tick = now + TICK_NS
                    oldest = min(one.started_ns for one in exchanges.values())
                    if now - oldest > timeout_ns:
                        raise LoadError(f"no response within {timeout_s:g} s")
        finally:
            poller.close()

    def _greet(self, sock: socket.socket, timeout_s: float) -> None:
        """Ask whether the server lives, so that it has taken the connection up.

        Connections that arrive at once are spread over the server's threads by
        chance, and on a few cores that chance sets the pace: 3,900 to 11,300 requests
        per second were seen on two. One after the other, as independent clients come,
        they are taken up alike every time.
        """
        head = f"GET {self._target['path']}/v2/health/live HTTP/1.1"
        greeting = f"{head}\r\nHost: {self._target['host']}\r\n\r\n".encode("ascii")
        sock.settimeout(timeout_s)
        exchange = Exchange(sock, greeting)
        try:
            exchange.send(0)
            while exchange.receive() is None:
                pass
        except LoadError as err:
            if isinstance(err.__cause__, TimeoutError):
                raise LoadError(f"no response within {timeout_s:g} s") from err
            raise
