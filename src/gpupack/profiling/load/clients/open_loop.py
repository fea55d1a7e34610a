"""The open loop over HTTP: requests are sent when they are due, answered or not.

What is waited for is measured from when a request was *due*: one that found the client
busy, or every connection taken, has waited since then (coordinated omission).
"""

from __future__ import annotations

import contextlib
import select
import time
from collections import deque
from typing import TYPE_CHECKING

from gpupack.profiling.load.clients.http_exchange import (
    Exchange,
    drain,
    error_text,
)
from gpupack.profiling.load.clients.load_report import (
    TICK_NS,
    LoadError,
    Reporter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from gpupack.profiling.load.schedule import Schedule

_TIMER_SLACK_PATH = "/proc/self/timerslack_ns"
_NUM_AT_FIRST = 16
_MOST_AT_FIRST = 512
_SPARE_RATIO = 1.5
"""So many connections, with ``_NUM_AT_FIRST`` more, as are expected to be taken are
opened before the first request is due: to open one takes time in which others are due.
More are opened as they are needed."""
_MIN_WAIT_S = 20e-6
"""Less is not slept: waking up takes about as long."""
MOST_DUE_AT_ONCE = 10_000
"""Of requests that are due, so many at most are taken up before anything else is done:
at a rate beyond the client's there are more each time, and it would hear no stop."""


def run_open_loop(
    exchanges: Mapping[int, Exchange],
    requests: Sequence[bytes],
    connect: Callable[[bytes], int],
    schedule: Schedule,
    *,
    timeout_s: float,
    pipe: Connection,
    is_tls: bool,
    expected_s: float = 0.0,
) -> int:
    """Send requests when they are due until the pipe says stop; report every tick.

    Returns how many requests were left unanswered.

    Args:
        exchanges: Connections by file descriptor; grows as they are opened.
        requests: One for each connection that there may be. Where all are taken a
            request waits for the next that is free.
        connect: Opens one more, for requests of these bytes; returns its descriptor.
        schedule: When requests are due.
        timeout_s: How long a request may take once it was sent.
        pipe: To gpupack.
        is_tls: A socket may have more to read than the poller knows.
        expected_s: How long a request may be expected to take.
    """
    _sleep_precisely()
    clock = time.monotonic_ns
    poller = select.epoll()
    pipe_fd = pipe.fileno()
    timeout_ns = int(timeout_s * 1e9)
    free: list[int] = []
    freed_ns: dict[int, int] = {}
    due_ns: dict[int, int] = {}
    waiting: deque[int] = deque()
    report = Reporter(pipe)
    try:
        poller.register(pipe_fd, select.EPOLLIN)

        def add_connection() -> None:
            fd = connect(requests[len(exchanges)])
            poller.register(fd, select.EPOLLIN)
            freed_ns[fd] = 0
            free.append(fd)

        taken = schedule.requests_per_s * expected_s
        at_first = min(_NUM_AT_FIRST + int(_SPARE_RATIO * taken), _MOST_AT_FIRST)
        for _ in range(min(at_first, len(requests))):
            add_connection()
        schedule.begin(clock())
        next_tick = clock() + TICK_NS
        while True:
            now = clock()
            most = len(report.due) + MOST_DUE_AT_ONCE
            while schedule.next_ns <= now and len(report.due) < most:
                waiting.append(int(schedule.next_ns))
                report.due.append(int(schedule.next_ns))
                schedule.advance()
            while waiting and (free or len(exchanges) < len(requests)):
                if not free:
                    add_connection()
                fd = free.pop()
                due = due_ns[fd] = waiting.popleft()
                sent = clock()
                report.sent.append(sent)
                report.late.append(sent - max(due, freed_ns[fd]))
                if not exchanges[fd].send(sent):
                    poller.modify(fd, select.EPOLLIN | select.EPOLLOUT)
            now = clock()
            if now >= next_tick:
                report.tick()
                next_tick = now + TICK_NS
                if (
                    due_ns
                    and now - min(exchanges[fd].started_ns for fd in due_ns)
                    > timeout_ns
                ):
                    raise LoadError(f"no response within {timeout_s:g} s")
            wait_s = (min(schedule.next_ns, next_tick) - now) / 1e9
            if wait_s >= _MIN_WAIT_S:
                # The poller's own timeout is in whole milliseconds.
                select.select([poller], [], [], wait_s)
            for fd, event in poller.poll(0):
                if fd == pipe_fd:
                    pipe.recv()
                    num_left = drain(poller, exchanges, set(due_ns), pipe_fd, timeout_s)
                    report.tick()
                    return num_left
                exchange = exchanges[fd]
                if event & select.EPOLLOUT and exchange.send_more():
                    poller.modify(fd, select.EPOLLIN)
                if not event & ~select.EPOLLOUT and not is_tls:
                    continue
                if fd not in due_ns:
                    raise LoadError("the server closed the connection")
                response = exchange.receive()
                if response is None:
                    continue
                now = clock()
                if response[9:12] != b"200":
                    raise LoadError(error_text(response))
                report.ends.append(now)
                report.latencies.append(now - due_ns.pop(fd))
                freed_ns[fd] = now
                free.append(fd)
    finally:
        poller.close()


def _sleep_precisely() -> None:
    """Have this process woken up when it asked for it, not up to 50 µs later."""
    with (
        contextlib.suppress(OSError),
        open(_TIMER_SLACK_PATH, "w", encoding="ascii") as file,  # noqa: PTH123
    ):
        file.write("1")
