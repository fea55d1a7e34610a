"""The processes that answer questions, from the server's side."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from gpupack.explore.workers.messages import (
    Event,
    ForgetData,
    GiveData,
    Job,
    JobEnd,
    JobEvent,
    StartJob,
)
from gpupack.explore.workers.process import work

if TYPE_CHECKING:
    from collections.abc import Callable

WARM = 2
"""Processes that are there before anybody asks."""
MOST = 6
"""Processes at most: what is asked beyond waits for its turn."""
MOST_KEPT_DATA = 3
"""Sets of profiles that a process keeps."""
INTERRUPT_AGAIN_S = 0.1
KILL_AFTER_S = 1.5
"""After which a process that does not hear an interrupt is replaced."""
START_LIMIT_S = 60.0


class _Worker:
    """One process and the thread that listens to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        self._connection = here
        self._cancelled = context.RawValue("q", -1)
        self.process = context.Process(
            target=work,
            args=(there, self._cancelled),
            daemon=True,
            name="gpupack-solve",
        )
        self.process.start()
        there.close()
        self.data_ids: list[str] = []
        """What it keeps, the last used last."""
        self.number = 0
        self.messages: asyncio.Queue[JobEvent | JobEnd | None] = asyncio.Queue()
        """None: the process has ended."""
        self.is_ready = False
        self._loop = loop
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._hand_on(self._connection.recv())
        self._hand_on(None)

    def _hand_on(self, message: JobEvent | JobEnd | None) -> None:
        with contextlib.suppress(RuntimeError):  # the server's loop is closed
            self._loop.call_soon_threadsafe(self.messages.put_nowait, message)

    def send(self, message: object) -> None:
        """Send a message; one to a process that has ended goes nowhere.

        Where it has ended, ``messages`` says so.
        """
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def cancel(self, number: int) -> None:
        """Interrupt a job."""
        self._cancelled.value = max(self._cancelled.value, number)
        if self.process.pid is not None and self.process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ValueError, AttributeError):
            self.process.kill()

    @property
    def how_it_ended(self) -> str:
        """Why the process is gone, in words."""
        self.process.join(timeout=1)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"it was ended by signal {-code} ({signal.Signals(-code).name})"
        return f"it ended with code {code}"


class WorkerPool:
    """Does jobs in processes of their own, each by one process from start to end.

    Args:
        pickled_data: Returns profiles by their id, pickled.
    """

    def __init__(self, pickled_data: Callable[[str], bytes]) -> None:
        self._pickled_data = pickled_data
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._waiting: deque[asyncio.Future[_Worker]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_number = 0
        self._is_closed = False

    @property
    def num_busy(self) -> int:
        """Processes that are at work on a job, or are being started."""
        return len(self._workers) - len(self._idle)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of all processes."""
        return tuple(one.process.pid for one in self._workers if one.process.pid)

    def start(self) -> None:
        """Start the first processes."""
        for _ in range(WARM):
            self._start_one()

    def close(self) -> None:
        """End every process."""
        self._is_closed = True
        for one in self._workers:
            one.kill()
        for task in self._tasks:
            task.cancel()

    def _start_one(self) -> None:
        worker = _Worker(asyncio.get_running_loop())
        self._workers.add(worker)
        task = asyncio.create_task(self._welcome(worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _welcome(self, worker: _Worker) -> None:
        """Wait until a process can work."""
        with contextlib.suppress(TimeoutError):
            message = await asyncio.wait_for(worker.messages.get(), START_LIMIT_S)
            if message is not None:
                worker.is_ready = True
                self._free(worker)
                return
        self._remove(worker)

    def _free(self, worker: _Worker) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(worker)
                return
        self._idle.append(worker)

    def _take_back(self, worker: _Worker, end: JobEnd) -> None:
        if end.is_broken:
            self._remove(worker)
        else:
            self._free(worker)

    def _remove(self, worker: _Worker) -> None:
        worker.kill()
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        was_started = worker.is_ready
        if not self._is_closed and was_started and len(self._workers) < WARM:
            self._start_one()

    async def _take(self, job: Job) -> _Worker:
        """Return a process that is free, or the next that will be."""
        while self._idle:
            # Rather one that knows the profiles.
            worker = max(
                self._idle, key=lambda one: sum(d in one.data_ids for d in job.data_ids)
            )
            self._idle.remove(worker)
            if worker.process.is_alive():
                return worker
            self._remove(worker)
        if len(self._workers) < MOST:
            self._start_one()
        future: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._free(future.result())
            raise

    async def run(self, job: Job) -> AsyncGenerator[Event]:
        """Yield the events of a job as they come.

        The last is ``failed`` if it could not be done, with ``message``. Who stops
        listening ends the job.
        """
        if not self._idle:
            yield Event("waiting", "{}")
        worker = await self._take(job)
        self._last_number += 1
        number = self._last_number
        is_over = False
        try:
            self._give_data(worker, job)
            worker.send(StartJob(number, job))
            while not is_over:
                message = await worker.messages.get()
                if message is None:
                    is_over = True
                    how = worker.how_it_ended
                    self._remove(worker)
                    yield _failed(
                        f"the process that looked for an answer is gone: {how}. Ask "
                        "again: another has been started"
                    )
                elif isinstance(message, JobEnd):
                    is_over = True
                    self._take_back(worker, message)
                    if message.fault:
                        yield _failed(message.fault)
                else:
                    yield message.event
        finally:
            if not is_over:
                task = asyncio.create_task(self._end(worker, number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                # Whoever asks next may count on it that this job has ended.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(task)

    async def _end(self, worker: _Worker, number: int) -> None:
        """Interrupt a job until its process is free again, or replace the process."""
        loop = asyncio.get_running_loop()
        until = loop.time() + KILL_AFTER_S
        while loop.time() < until:
            worker.cancel(number)
            again = loop.time() + INTERRUPT_AGAIN_S
            while (left_s := again - loop.time()) > 0:
                try:
                    message = await asyncio.wait_for(worker.messages.get(), left_s)
                except TimeoutError:
                    break
                if message is None:
                    self._remove(worker)
                    return
                if isinstance(message, JobEnd):
                    self._take_back(worker, message)
                    return
        self._remove(worker)

    def _give_data(self, worker: _Worker, job: Job) -> None:
        for data_id in job.data_ids:
            if data_id in worker.data_ids:
                worker.data_ids.remove(data_id)
            else:
                worker.send(GiveData(data_id, self._pickled_data(data_id)))
            worker.data_ids.append(data_id)
        while len(worker.data_ids) > max(MOST_KEPT_DATA, len(job.data_ids)):
            worker.send(ForgetData(worker.data_ids.pop(0)))


def _failed(message: str) -> Event:
    import json

    return Event("failed", json.dumps({"message": message}))
