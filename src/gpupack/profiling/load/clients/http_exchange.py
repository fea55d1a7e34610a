"""One keep-alive HTTP connection with at most one request in flight."""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from gpupack.profiling.load.clients.load_report import CLOSE_S, LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.profiling.load.sequences import Sequence
    from gpupack.profiling.load.tensors import Variation

_MAX_ERROR_TEXT = 2000
_MIN_RECEIVE_BYTES = 1 << 12
_MAX_RECEIVE_BYTES = 1 << 18


def open_socket(target: dict[str, Any], timeout_s: float) -> socket.socket:
    """Connect to an HTTP server, over TLS if it asks for that."""
    try:
        sock = socket.create_connection(
            (target["host"], target["port"]), timeout=timeout_s
        )
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target["tls"] is not None:
            sock = _tls_context(target["tls"]).wrap_socket(
                sock, server_hostname=target["host"]
            )
    except OSError as err:
        raise LoadError(f"cannot connect: {err}") from err
    return sock


def _tls_context(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options["ca_path"])
    if options["certificate_path"]:
        context.load_cert_chain(options["certificate_path"], options["key_path"])
    if not options["verify"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Exchange:
    """One keep-alive connection with at most one request in flight."""

    __slots__ = (
        "_buffer",
        "_head",
        "_known_length",
        "_length",
        "_receive_bytes",
        "_sent",
        "request",
        "sock",
        "started_ns",
    )

    def __init__(self, sock: socket.socket, request: bytes) -> None:
        self.sock = sock
        self.request = request
        self.started_ns = 0
        self._sent = 0
        self._buffer = bytearray()
        self._length = -1
        self._head = b"\r\n"  # no response begins so
        self._known_length = 0
        self._receive_bytes = _MAX_RECEIVE_BYTES

    def send(self, now_ns: int) -> bool:
        """Begin a request; whether all of it could be handed to the kernel."""
        self.started_ns = now_ns
        self._sent = 0
        return self.send_more()

    def send_more(self) -> bool:
        """Go on sending; whether all of it is handed over."""
        request = self.request
        try:
            if self._sent == 0:
                self._sent = self.sock.send(request)
            while self._sent < len(request):
                self._sent += self.sock.send(memoryview(request)[self._sent :])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as err:
            raise LoadError(f"the connection broke while sending: {err}") from err
        return True

    def receive(self) -> bytes | None:
        """Read what is there; the response, once it is complete."""
        try:
            while True:
                data = self.sock.recv(self._receive_bytes)
                if not self._buffer:
                    # The common case: a response in one piece, its head as before.
                    if len(data) == self._known_length and data.startswith(self._head):
                        return data
                    if not data:
                        raise LoadError("the server closed the connection")
                    self._length = response_length(data)
                    if self._length == len(data):
                        self._remember(data)
                        return data
                elif not data:
                    raise LoadError("the server closed the connection")
                self._buffer += data
                if self._length < 0:
                    self._length = response_length(self._buffer)
                if 0 <= self._length <= len(self._buffer):
                    response = bytes(self._buffer)
                    self._buffer.clear()
                    self._length = -1
                    return response
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as err:
            raise LoadError(f"the connection broke: {err}") from err

    def _remember(self, response: bytes) -> None:
        # The same head says the same length, so it need not be parsed again; and a
        # buffer that just holds the response is cheaper to get than a large one.
        self._head = response[: response.find(b"\r\n\r\n") + 4]
        self._known_length = len(response)
        self._receive_bytes = min(
            max(1 << len(response).bit_length(), _MIN_RECEIVE_BYTES),
            _MAX_RECEIVE_BYTES,
        )


class VaryingExchange(Exchange):
    """A connection whose requests all differ."""

    __slots__ = ("_variation",)

    def __init__(
        self, sock: socket.socket, request: bytes, variation: Variation
    ) -> None:
        super().__init__(sock, request)
        self._variation = variation

    def send(self, now_ns: int) -> bool:
        """Begin another request than the last."""
        self.request = self._variation.vary(self.request)
        return super().send(now_ns)


class SequenceExchange(Exchange):
    """A connection whose requests are those of sequences, one after the other."""

    __slots__ = ("_sequence",)

    def __init__(self, sock: socket.socket, request: bytes, sequence: Sequence) -> None:
        super().__init__(sock, request)
        self._sequence = sequence

    def send(self, now_ns: int) -> bool:
        """Begin the next request of its sequence."""
        self.request = self._sequence.next()
        return super().send(now_ns)

    def end_sequence(self, timeout_s: float) -> None:
        """End the sequence that has begun, so that the model forgets it."""
        if self._sequence.is_open:
            self.sock.settimeout(timeout_s)
            self.request = self._sequence.next(ends=True)
            super().send(0)
            while self.receive() is None:
                pass


def response_length(data: bytes | bytearray) -> int:
    """Return the bytes of head and body together, -1 while the head is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return -1
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise LoadError("the server's response has no Content-Length")
    stop = head.find(b"\r\n", at + 2)
    value = head[at + 17 : stop if stop >= 0 else end]
    return end + 4 + int(value)


def is_success(response: bytes) -> bool:
    """Whether the response's status is 200."""
    return response[9:12] == b"200"


def error_text(response: bytes) -> str:
    """Return what the server said in a refused response."""
    head, _, body = response.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode("latin-1")
    return f"{status}: {body[:_MAX_ERROR_TEXT].decode(errors='replace')}"


def drain(
    poller: select.epoll,
    exchanges: Mapping[int, Exchange],
    busy: set[int],
    pipe_fd: int,
    timeout_s: float,
) -> int:
    """Wait until no request is in flight; return how many are left after a time-out.

    A server that is left with requests whose client is gone would still compute them,
    into the next measurement.

    Args:
        poller: Has all of them registered.
        exchanges: By file descriptor.
        busy: Those with a request in flight.
        pipe_fd: Not listened to any more.
        timeout_s: How long a request may take.
    """
    poller.unregister(pipe_fd)
    deadline = time.monotonic() + max(timeout_s, CLOSE_S)
    while busy and time.monotonic() < deadline:
        for fd, event in poller.poll(0.05):
            exchange = exchanges[fd]
            if event & select.EPOLLOUT and exchange.send_more():
                poller.modify(fd, select.EPOLLIN)
            if exchange.receive() is not None:
                busy.discard(fd)
                poller.unregister(fd)
    return len(busy)
