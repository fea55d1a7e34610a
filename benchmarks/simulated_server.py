"""A server of known service time that speaks enough of KServe's protocol over HTTP.

One queue, one place of service: a request is answered once it has been served for
exactly so long after those before it. It runs no model and hardly any CPU, and keeps
in memory when each request was read and when it was answered (``/v2/times``), because
a server that waits for a CPU itself does not serve for exactly so long.

    python -m benchmarks.simulated_server --service-ms 2 --port 8000
"""

from __future__ import annotations

import argparse
import heapq
import json
import select
import socket
import time
from typing import Any

_MODEL = "simulated"
_METADATA = {
    "name": _MODEL,
    "versions": ["1"],
    "platform": "simulated",
    "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 16]}],
    "outputs": [{"name": "Y", "datatype": "FP32", "shape": [-1, 16]}],
}
_CONFIG = {
    "name": _MODEL,
    "backend": "simulated",
    "max_batch_size": 8,
    "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": ["16"]}],
    "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": ["16"]}],
    "instance_group": [{"name": _MODEL, "kind": "KIND_CPU", "count": 1}],
}
_ANSWER = {
    "model_name": _MODEL,
    "model_version": "1",
    "outputs": [
        {"name": "Y", "datatype": "FP32", "shape": [1, 16], "data": [0.0] * 16}
    ],
}


class SimulatedServer:
    """Answers inferences after their service time, everything else at once.

    Args:
        service_s: Of one request.
        port: To listen at on loopback; 0 takes a free one.
        num_places: Requests served at the same time; 0 for all of them (no queue).
    """

    def __init__(self, service_s: float, *, port: int = 0, num_places: int = 1) -> None:
        self._service_s = service_s
        self._busy_until_s = [0.0] * num_places
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._poller = select.epoll()
        self._poller.register(self._listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, tuple[socket.socket, bytearray]] = {}
        self._answers: list[tuple[float, int]] = []
        self._count = 0
        self._begun: dict[int, int] = {}
        self._times: list[tuple[int, int]] = []
        """Of each request, in order of answering: read and answered, in ns."""
        self._answer = _http(_ANSWER)

    @property
    def num_connections(self) -> int:
        """How many clients' connections are open now."""
        return len(self._connections)

    @property
    def num_waiting(self) -> int:
        """How many requests are not answered yet."""
        return len(self._answers)

    def serve(self, stop: Any = None) -> None:
        """Serve until told to stop (an object with ``is_set``), or for ever."""
        clock = time.monotonic
        with open("/proc/self/timerslack_ns", "w") as file:  # noqa: PTH123
            file.write("1")
        while stop is None or not stop.is_set():
            now = clock()
            while self._answers and self._answers[0][0] <= now:
                _, fd = heapq.heappop(self._answers)
                if fd in self._connections:
                    self._connections[fd][0].send(self._answer)
                    self._times.append((self._begun[fd], time.monotonic_ns()))
            wait_s = min(0.05, self._answers[0][0] - clock()) if self._answers else 0.05
            if wait_s > 10e-6:
                select.select([self._poller], [], [], wait_s)
            for fd, _ in self._poller.poll(0):
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._read(fd)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection, bytearray()
        self._poller.register(connection.fileno(), select.EPOLLIN)

    def _read(self, fd: int) -> None:
        connection, buffer = self._connections[fd]
        now = time.monotonic()
        try:
            data = connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._poller.unregister(fd)
            del self._connections[fd]
            connection.close()
            return
        buffer += data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
        if len(buffer) < end + 4 + length:
            return
        path = bytes(buffer[:end]).split(b" ", 2)[1].decode()
        del buffer[: end + 4 + length]
        if not path.endswith("/infer"):
            connection.setblocking(True)  # the times are long
            connection.sendall(_http(self._other(path)))
            connection.setblocking(False)
            return
        if not self._busy_until_s:
            done = now + self._service_s
        else:
            first = heapq.heappop(self._busy_until_s)
            done = max(now, first) + self._service_s
            heapq.heappush(self._busy_until_s, done)
        self._count += 1
        self._begun[fd] = int(now * 1e9)
        heapq.heappush(self._answers, (done, fd))

    def _other(self, path: str) -> object:
        if path.endswith("/config"):
            return _CONFIG
        if path.endswith("/times"):
            return self._times
        if path.endswith("/stats"):
            return {"model_stats": [_statistics(self._count)]}
        if path.endswith("/index"):
            return [{"name": _MODEL, "version": "1", "state": "READY"}]
        if path.endswith("/v2"):
            return {"name": "triton", "version": "simulated", "extensions": []}
        if _MODEL in path and not path.endswith("/ready"):
            return _METADATA
        return {}


def _statistics(count: int) -> dict[str, Any]:
    duration = {"count": count, "ns": 0}
    names = ("success", "queue", "compute_input", "compute_infer", "compute_output")
    return {
        "name": _MODEL,
        "version": "1",
        "last_inference": 0,
        "inference_count": count,
        "execution_count": count,
        "inference_stats": {
            **dict.fromkeys(names, duration),
            "fail": {"count": 0, "ns": 0},
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "batch_stats": [],
    }


def _http(content: object) -> bytes:
    body = json.dumps(content).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service-ms", type=float, default=2.0)
    parser.add_argument("--places", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    server = SimulatedServer(
        arguments.service_ms / 1e3,
        port=arguments.port,
        num_places=arguments.places,
    )
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
