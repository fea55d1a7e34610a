"""Load over gRPC: messages serialized once, sent as bytes."""

from __future__ import annotations

import queue
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc

from gpupack.profiling.load.clients.load_report import (
    DRAIN_S,
    TICK_NS,
    LoadError,
    Reporter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from gpupack.profiling.load.schedule import Schedule
    from gpupack.profiling.load.tensors import Variation

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


class GrpcLoop:
    """Keeps a number of calls in flight on one channel."""

    def __init__(self, target: dict[str, Any]) -> None:
        address = f"{target['host']}:{target['port']}"
        options = target["tls"]
        if options is None:
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(
                root_certificates=_read(options["ca_path"]),
                private_key=_read(options["key_path"]),
                certificate_chain=_read(options["certificate_path"]),
            )
            self._channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
        # No serializers: bytes go in and come out.
        self._call = self._channel.unary_unary(_METHOD)

    def once(self, request: bytes, timeout_s: float) -> bytes:
        """Send one request and return its response message."""
        try:
            return bytes(self._call(request, timeout=timeout_s))
        except grpc.RpcError as err:
            raise LoadError(_words(err, timeout_s)) from err

    def run(
        self,
        requests: Sequence[bytes],
        timeout_s: float,
        pipe: Connection,
        schedule: Schedule | None = None,
        variation: Variation | None = None,
    ) -> None:
        """Drive the server until the pipe says stop; report every tick.

        In a closed loop, or in an open one where there is a ``schedule``: then what is
        waited for is measured from when a request was due.
        """
        ended: queue.SimpleQueue[tuple[int, int, int, Any]] = queue.SimpleQueue()
        clock = time.monotonic_ns

        def begin(index: int, started: int) -> None:
            request = requests[index]
            if variation is not None:
                request = variation.vary(request)
            call = self._call.future(request, timeout=timeout_s)
            call.add_done_callback(
                lambda done: ended.put((index, started, clock(), done))
            )

        report = Reporter(pipe)
        num_in_flight = 0
        free = list(range(len(requests)))
        freed_ns = [0] * len(requests)
        waiting: deque[int] = deque()
        if schedule is None:
            for index in free:
                begin(index, clock())
            num_in_flight = len(requests)
        else:
            schedule.begin(clock())
        next_tick = clock() + TICK_NS
        is_stopping = False
        deadline = 0.0
        while (num_in_flight or not is_stopping) and not (
            is_stopping and time.monotonic() > deadline
        ):
            next_ns: float = next_tick
            if schedule is not None and not is_stopping:
                while schedule.next_ns <= clock():
                    waiting.append(int(schedule.next_ns))
                    report.due.append(int(schedule.next_ns))
                    schedule.advance()
                while waiting and free:
                    index, due, now = free.pop(), waiting.popleft(), clock()
                    report.sent.append(now)
                    report.late.append(now - max(due, freed_ns[index]))
                    begin(index, due)
                    num_in_flight += 1
                next_ns = min(next_ns, schedule.next_ns)
            try:
                index, started, end, call = ended.get(
                    timeout=max(0.0, (next_ns - clock()) / 1e9)
                )
            except queue.Empty:
                pass
            else:
                error = call.exception()
                if error is not None:
                    raise LoadError(_words(error, timeout_s))
                if is_stopping:
                    num_in_flight -= 1
                else:
                    report.ends.append(end)
                    report.latencies.append(end - started)
                    if schedule is None:
                        begin(index, clock())
                    else:
                        num_in_flight -= 1
                        freed_ns[index] = end
                        free.append(index)
            if clock() >= next_tick:
                report.tick()
                next_tick = clock() + TICK_NS
                if not is_stopping and pipe.poll():
                    pipe.recv()
                    is_stopping = True
                    deadline = time.monotonic() + DRAIN_S


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def _words(error: Any, timeout_s: float) -> str:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    if code is None or details is None:
        return str(error)
    if code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no response within {timeout_s:g} s"
    return f"{code().name}: {details()}"
