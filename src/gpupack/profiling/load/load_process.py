"""Load on one model: a closed loop or an open one, in its own process."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gpupack.errors import ServerError
from gpupack.profiling.server import ServerUrl, TlsOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    import numpy.typing as npt

    from gpupack.profiling.load.schedule import Schedule
    from gpupack.profiling.load.sequences import SequencePlan
    from gpupack.profiling.load.tensors import Variation

    Nanoseconds = npt.NDArray[np.int64]

CLIENT_NAME = "gpupack"
LIMITED_SHARE = 0.9
"""From this share of the time on a CPU, or waiting for one, the client is the limit."""
_STOP_TIMEOUT_S = 10.0
"""How long a loop may take to stop, besides what its last requests may take."""


@dataclass
class LoadTrace:
    """What a load process has reported so far; times of ``time.monotonic_ns``."""

    parts: defaultdict[str, list[bytes]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Arrays of 64 bits, by what the worker calls them."""
    ticks: list[tuple[int, int, int]] = field(default_factory=list)
    """Per tick: when, CPU time so far, time waiting for a CPU so far."""

    def completions(self) -> tuple[Nanoseconds, Nanoseconds]:
        """Return when each request ended and how long it took, in order of ending."""
        return self.array("ends"), self.array("latencies")

    def sendings(self) -> tuple[Nanoseconds, Nanoseconds, Nanoseconds]:
        """Return, of an open loop, when requests were due, when sent, how much late.

        The first that was due was sent first; the last may not have been sent yet. Late
        is what the client itself added, not the wait for a free connection.
        """
        return self.array("due"), self.array("sent"), self.array("late")

    def array(self, name: str) -> Nanoseconds:
        """Return one of the arrays that the worker reports."""
        parts = self.parts[name]
        if len(parts) > 1:
            # Joined once: the stopping rule asks again at every tick.
            parts[:] = [b"".join(parts)]
        return np.frombuffer(b"".join(parts), dtype=np.int64)

    def cpu_shares(self, start_ns: int, end_ns: int) -> tuple[float, float] | None:
        """Return the shares of the time on a CPU, and on one or waiting for one.

        None when there are no two ticks between the two times.
        """
        inside = [tick for tick in self.ticks if start_ns <= tick[0] <= end_ns]
        if len(inside) < 2 or inside[-1][0] == inside[0][0]:
            return None
        first, last = inside[0], inside[-1]
        wall = last[0] - first[0]
        cpu = last[1] - first[1]
        return cpu / wall, (cpu + last[2] - first[2]) / wall


class LoadProcess:
    """The client process for one model; ends with its context, or with gpupack."""

    def __init__(self, url: ServerUrl, tls: TlsOptions | None = None) -> None:
        options = tls or TlsOptions()
        own, its = multiprocessing.Pipe()
        with its:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "gpupack.profiling.load.clients.load_worker",
                    str(its.fileno()),
                ],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is gpupack's to handle
            )
        self._pipe = own
        self.url = url
        self.trace = LoadTrace()
        self._is_running = False
        self._is_stopping = False
        self._timeout_s = 0.0
        self._num_left = 0
        tls_options = {
            "ca_path": str(options.ca_path) if options.ca_path else None,
            "certificate_path": (
                str(options.certificate_path) if options.certificate_path else None
            ),
            "key_path": str(options.key_path) if options.key_path else None,
            "verify": options.verify,
        }
        self._send(
            (
                "open",
                {
                    "host": url.host,
                    "port": url.port,
                    "path": url.path,
                    "is_grpc": url.is_grpc,
                    "tls": tls_options if url.is_tls else None,
                },
            )
        )

    @property
    def connection(self) -> Connection:
        """What to wait on for reports."""
        return self._pipe

    @property
    def pid(self) -> int:
        """The client's process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and wait for it."""
        self._pipe.close()
        try:
            # Mid-loop it notices at its next tick; nothing it has is still wanted.
            self._process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def once(
        self, request: bytes, *, timeout_s: float, is_streamed: bool = False
    ) -> tuple[bytes, int | None]:
        """Send one request; return its body and the length of its JSON head, if any.

        ``is_streamed`` waits for the first response of a stream.

        Raises:
            ServerError: The server refused it, or did not answer in time.
        """
        asked = (request, timeout_s)
        self._send(("once", *asked, True) if is_streamed else ("once", *asked))
        if not self._pipe.poll(timeout_s + 5):
            raise ServerError(f"{self.url}: no response within {timeout_s:g} s")
        message = self._receive()
        if self.url.is_grpc:
            return message[1], None
        return _split_http(message[1])

    def start(
        self,
        requests: Sequence[bytes],
        *,
        timeout_s: float,
        schedule: Schedule | None = None,
        variation: Variation | None = None,
        sequences: SequencePlan | None = None,
        is_streamed: bool = False,
    ) -> None:
        """Begin the closed loop, one request in flight for each of ``requests``.

        With a ``schedule`` it is an open loop: requests are sent when they are due, but
        at most one is in flight for each of ``requests`` all the same, and others wait
        for it. With a ``variation`` no request is like another. With ``sequences`` each
        client sends whole sequences. ``is_streamed`` sends on streams of gRPC, on which
        a request has any number of responses.
        """
        self.trace = LoadTrace()
        options: dict[str, Any] = {}
        if variation is not None:
            options["variation"] = variation
        if sequences is not None:
            options["sequences"] = sequences
        if is_streamed:
            options["is_streamed"] = True
        self._send(("run", list(requests), timeout_s, schedule, options))
        self._is_running, self._is_stopping = True, False
        self._timeout_s, self._num_left = timeout_s, 0

    def collect(self) -> None:
        """Take in what was reported; does not wait.

        Raises:
            ServerError: The loop failed, with the server's message.
        """
        while self._pipe.poll():
            self._take(self._receive())

    def ask_to_stop(self) -> None:
        """Begin no further request; does not wait."""
        if self._is_running and not self._is_stopping:
            self._send(("stop",))
            self._is_stopping = True

    def stop(self) -> int:
        """End the loop and wait until no request is in flight.

        Returns:
            How many requests the server has not answered even so, in as long as one may
            take: it still works on them.
        """
        self.ask_to_stop()
        stop_s = self._timeout_s + _STOP_TIMEOUT_S
        deadline = time.monotonic() + stop_s
        while self._is_running:
            if not self._pipe.poll(max(0.0, deadline - time.monotonic())):
                raise ServerError(
                    f"{self.url}: the load process did not stop within {stop_s:g} s"
                )
            self._take(self._receive())
        return self._num_left

    def _take(self, message: Any) -> None:
        if message[0] == "tick":
            _, now, cpu, waited, told = message
            self.trace.ticks.append((now, cpu, waited))
            for name, part in told.items():
                self.trace.parts[name].append(part)
        elif message[0] == "stopped":
            self._is_running = False
            self._num_left = message[1]

    def _send(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the next receive says why
            self._pipe.send(message)

    def _receive(self) -> Any:
        try:
            message = self._pipe.recv()
        except (EOFError, OSError) as err:
            self._is_running = False
            raise ServerError(
                f"the load process ended (exit code {self._process.poll()})"
            ) from err
        if message[0] == "failed":
            self._is_running = False
            raise ServerError(f"{self.url}: {message[1]}")
        return message


def wait_any(processes: Sequence[LoadProcess], timeout_s: float) -> None:
    """Wait until one of the processes has something to say, or time is up."""
    multiprocessing.connection.wait([one.connection for one in processes], timeout_s)


def _split_http(response: bytes) -> tuple[bytes, int | None]:
    head, _, body = response.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"inference-header-content-length":
            return body, int(value)
    return body, None
