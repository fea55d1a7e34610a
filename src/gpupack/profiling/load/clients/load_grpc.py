"""Load over gRPC: messages serialized once, sent as bytes."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import grpc

from gpupack.profiling.load.clients.load_report import (
    CLOSE_S,
    TICK_NS,
    LoadError,
    Reporter,
)
from gpupack.profiling.load.clients.open_loop import MOST_DUE_AT_ONCE
from gpupack.profiling.load.sequences import Sequence

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from gpupack.profiling.load.schedule import Schedule
    from gpupack.profiling.load.sequences import SequencePlan
    from gpupack.profiling.load.tensors import Variation

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_STREAM_METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
_FINAL = "triton_final_response"
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

    def once(
        self, request: bytes, timeout_s: float, is_streamed: bool = False
    ) -> bytes:
        """Send one request and return its response message, or the first of several."""
        if is_streamed:
            return self._first_of_stream(request, timeout_s)
        try:
            return bytes(self._call(request, timeout=timeout_s))
        except grpc.RpcError as err:
            raise LoadError(_words(err, timeout_s)) from err

    def run(
        self,
        requests: list[bytes],
        timeout_s: float,
        pipe: Connection,
        schedule: Schedule | None = None,
        variation: Variation | None = None,
        sequences: SequencePlan | None = None,
        is_streamed: bool = False,
    ) -> int:
        """Drive the server until the pipe says stop; report every tick.

        In a closed loop, or in an open one where there is a ``schedule``: then what is
        waited for is measured from when a request was due. Returns how many requests
        were left unanswered.
        """
        ended: queue.SimpleQueue[tuple[int, int, int, Any]] = queue.SimpleQueue()
        clock = time.monotonic_ns

        clients = range(len(requests))
        own = [Sequence(sequences, at, len(requests)) for at in clients if sequences]
        streams = [
            ResponseStream(self._channel, index, ended)
            for index in clients
            if is_streamed
        ]

        def begin(index: int, started: int, *, ends: bool = False) -> None:
            request = requests[index]
            if sequences is not None:
                request = own[index].next(ends=ends)
            elif variation is not None:
                request = variation.vary(request)
            if streams:
                streams[index].send(request, started)
                return
            call = self._call.future(request, timeout=timeout_s)
            call.add_done_callback(
                lambda done: ended.put((index, started, clock(), done))
            )

        try:
            return self._drive(
                timeout_s, pipe, schedule, begin, ended, clients, own, streams
            )
        finally:
            for stream in streams:
                stream.close()

    def _drive(
        self,
        timeout_s: float,
        pipe: Connection,
        schedule: Schedule | None,
        begin: Callable[..., None],
        ended: queue.SimpleQueue[tuple[int, int, int, Any]],
        clients: range,
        sequences: list[Sequence],
        streams: list[ResponseStream],
    ) -> int:
        clock = time.monotonic_ns
        report = Reporter(pipe)
        num_in_flight = 0
        free = list(clients)
        freed_ns = [0] * len(clients)
        waiting: deque[int] = deque()
        if schedule is None:
            for index in free:
                begin(index, clock())
            num_in_flight = len(clients)
        else:
            schedule.begin(clock())
        next_tick = clock() + TICK_NS
        is_stopping = False
        deadline = 0.0
        num_failed = 0
        """Of those in flight when the loop was to stop."""
        while (num_in_flight or not is_stopping) and not (
            is_stopping and time.monotonic() > deadline
        ):
            next_ns: float = next_tick
            if schedule is not None and not is_stopping:
                most = len(report.due) + MOST_DUE_AT_ONCE
                while schedule.next_ns <= clock() and len(report.due) < most:
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
                if error is not None and not is_stopping:
                    raise LoadError(_words(error, timeout_s))
                if error is not None:
                    num_in_flight -= 1
                    num_failed += 1
                elif is_stopping:
                    if sequences and sequences[index].is_open:
                        begin(index, clock(), ends=True)
                    else:
                        num_in_flight -= 1
                else:
                    report.ends.append(end)
                    report.latencies.append(end - started)
                    if isinstance(call, StreamedAnswer):
                        call.report(report, started)
                    if schedule is None:
                        begin(index, clock())
                    else:
                        num_in_flight -= 1
                        freed_ns[index] = end
                        free.append(index)
            if clock() >= next_tick:
                report.tick()
                next_tick = clock() + TICK_NS
                overdue = next_tick - int(timeout_s * 1e9)
                if not is_stopping and any(
                    stream.is_waiting_since(overdue) for stream in streams
                ):
                    raise LoadError(f"no last response within {timeout_s:g} s")
                if not is_stopping and pipe.poll():
                    pipe.recv()
                    is_stopping = True
                    deadline = time.monotonic() + max(timeout_s, CLOSE_S)
        return num_in_flight + num_failed

    def _first_of_stream(self, request: bytes, timeout_s: float) -> bytes:
        """Return the first response with an output; the stream is read to its end."""
        ended: queue.SimpleQueue[tuple[int, int, int, Any]] = queue.SimpleQueue()
        stream = ResponseStream(self._channel, 0, ended)
        try:
            stream.send(request, time.monotonic_ns())
            *_, answer = ended.get(timeout=timeout_s)
        except queue.Empty:
            raise LoadError(f"no response within {timeout_s:g} s") from None
        finally:
            stream.close()
        error = answer.exception()
        if error is not None:
            raise LoadError(_words(error, timeout_s))
        if answer.first is None:
            raise LoadError("it ended its answer without any output")
        return bytes(answer.first.SerializeToString())


class StreamedAnswer:
    """What came of one request on a stream."""

    def __init__(self) -> None:
        self.times: list[int] = []
        """When each response with an output came."""
        self.first: Any = None
        self.error: BaseException | None = None

    def exception(self) -> BaseException | None:
        """Return why it failed, None if it did not."""
        return self.error

    def report(self, report: Reporter, started: int) -> None:
        """Add the times of the responses to a report."""
        report.firsts.append(self.times[0] - started if self.times else -1)
        report.counts.append(len(self.times))
        for before, after in pairwise(self.times):
            report.gap_ends.append(after)
            report.gaps.append(after - before)


class ResponseStream:
    """One client's stream, with one request at a time on it.

    A thread reads its responses, and puts the client's index, the times of start and
    end and a ``StreamedAnswer`` into a queue when the last one has come.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        index: int,
        ended: queue.SimpleQueue[tuple[int, int, int, Any]],
    ) -> None:
        # Only here: it takes a fifth of a second to import.
        from tritonclient.grpc import service_pb2

        self._index = index
        self._ended = ended
        self._started = 0
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = channel.stream_stream(
            _STREAM_METHOD,
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        self._responses = call(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def send(self, request: bytes, started: int) -> None:
        """Begin a request."""
        self._started = started
        self._requests.put(request)

    def is_waiting_since(self, time_ns: int) -> bool:
        """Whether a request that began before has not had its last response."""
        return 0 < self._started < time_ns

    def close(self) -> None:
        """End the stream, whatever is still on it."""
        self._requests.put(None)
        # Triton may never unload a model whose stream was canceled under it.
        self._thread.join(timeout=CLOSE_S)
        if self._thread.is_alive():
            self._responses.cancel()

    def _read(self) -> None:
        answer = StreamedAnswer()
        try:
            for message in self._responses:
                now = time.monotonic_ns()
                if message.error_message:
                    answer.error = LoadError(message.error_message)
                response = message.infer_response
                if len(response.outputs) > 0:
                    answer.first = answer.first or response
                    answer.times.append(now)
                is_final = response.parameters[_FINAL].bool_param
                if is_final or answer.error is not None:
                    started, self._started = self._started, 0
                    self._ended.put((self._index, started, now, answer))
                    answer = StreamedAnswer()
        except grpc.RpcError as err:
            answer.error = err
            self._ended.put((self._index, self._started, time.monotonic_ns(), answer))


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
