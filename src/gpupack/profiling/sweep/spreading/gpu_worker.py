"""The process of one GPU: a server, its clients, and the models it is sent.

Started by ``gpu_team`` as ``python -m gpupack.profiling.sweep.spreading.gpu_worker``,
on cores of its own. What it measures goes over a pipe to the process with the store.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from gpupack.errors import GpupackError
from gpupack.profiling.session import takes_turns
from gpupack.profiling.sweep.sweep_store import SweepStore

if TYPE_CHECKING:
    from gpupack.profile_set import AnyRecord
    from gpupack.profiling.sweep.spreading.work_order import WorkOrder
    from gpupack.records.profile import FailedLoadPoint, ProfileRecord


class _SentStore(SweepStore):
    """A store in memory whose new records are sent to the process that writes them."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__(None)
        self._pipe = pipe
        self.title = "record"

    def add(self, record: AnyRecord) -> None:
        """Send a record, and keep it where it is no control."""
        self._pipe.send((self.title, record))
        if self.title == "record":
            super().add(record)

    def remember(self, records: list[AnyRecord]) -> None:
        """Take in what the store that is written holds."""
        for record in records:
            super().add(record)


class _SentProgress:
    """Tells the process that has the store what is being done."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def begin(self, num_points: int, num_finished: int) -> None:
        """Do nothing: the team knows."""

    def working(self, text: str) -> None:
        """Send what is being done."""
        self._pipe.send(("working", text))

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """Do nothing: the record was sent."""


def serve(pipe: Connection) -> None:
    """Do what the pipe says until it closes."""
    order, cores = pipe.recv()
    # Before anything is started: the server, its models and the clients inherit it.
    os.sched_setaffinity(0, cores)
    try:
        with ExitStack() as stack:
            _work(pipe, order, stack)
    except GpupackError as err:
        pipe.send(("error", type(err).__name__, str(err)))


def _work(pipe: Connection, order: WorkOrder, stack: ExitStack) -> None:
    session = order.server.session(stack, sharing=order.sharing_mode)
    store = _SentStore(pipe)
    sweep = order.sweep(session, store, _SentProgress(pipe))
    sweep.probe = session.kernel_probe(
        order.probe, in_turns=takes_turns(order.sharing_mode)
    )
    stack.enter_context(session)
    stack.callback(sweep.end)

    def wait_for_the_others() -> None:
        pipe.send(("ready",))
        pipe.recv()

    pipe.send(("started",))
    while True:
        try:
            task, *told = pipe.recv()
        except EOFError:
            return
        if task == "prepare":
            pipe.send(("names", sweep.prepare(*told)))
        elif task == "baseline":
            sweep.measure_baseline()
        elif task == "refuse":
            sweep.refuse(*told)
        elif task == "beside":
            (sweep.warnings,) = told
        elif task == "measure":
            name, points, known = told
            store.remember(known)
            sweep.measure_loads(name, points, is_last=False)
        elif task == "control":
            name, point = told
            store.title, sweep.before_point = "control", wait_for_the_others
            sweep.measure_model(name, [point], is_last=False)
            store.title, sweep.before_point = "record", None
        pipe.send(("done",))


def _started_as_worker(arguments: list[str]) -> Any:
    return Connection(int(arguments[1]))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the team says when to end
    with contextlib.suppress(ConnectionError):  # the team has gone
        serve(_started_as_worker(sys.argv))
