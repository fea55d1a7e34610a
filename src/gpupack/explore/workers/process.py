"""The process that does jobs, from the inside."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import traceback
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from gpupack.explore.workers.messages import (
    Event,
    ForgetData,
    GiveData,
    JobEnd,
    JobEvent,
    StartJob,
)

if TYPE_CHECKING:
    from ctypes import c_longlong
    from multiprocessing.connection import Connection
    from types import FrameType

    from gpupack.profile_set import ProfileSet


def work(connection: Connection, cancelled: c_longlong) -> None:
    """Do jobs until the server is gone.

    Args:
        connection: Messages come and go by it.
        cancelled: Shared memory with the number of the last job whose question has
            changed. A job is interrupted only if its number is not above it, so that
            an interrupt that comes late never ends the next one.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker = _Worker(connection, cancelled)
    signal.signal(signal.SIGINT, worker.interrupt)
    _warm_up()
    worker.run()


def _end_with_parent() -> None:
    """End this process when the server's has ended, whatever it is doing."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(0)


def _warm_up() -> None:
    """Import what the first answer needs, and look at a question once."""
    from gpupack.examples import load_example
    from gpupack.packing import load_solvers
    from gpupack.planning import place
    from gpupack.spelling import speak_shell

    load_solvers()
    speak_shell()  # the page shows the flag of every control
    profiles = load_example("medical")
    demand = dict.fromkeys(profiles.model_names, 5.0)
    place(profiles, demand=demand, time_limit_s=0.5, workers=1)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


class _Worker:
    def __init__(self, connection: Connection, cancelled: c_longlong) -> None:
        self._connection = connection
        self._cancelled = cancelled
        self._number: int | None = None
        self._is_sending = False
        self._profiles: dict[str, ProfileSet] = {}

    def run(self) -> None:
        self._send(JobEnd(0))
        while True:
            try:
                message = self._connection.recv()
            except EOFError:
                return
            if isinstance(message, GiveData):
                self._profiles[message.data_id] = pickle.loads(message.pickled)
            elif isinstance(message, ForgetData):
                self._profiles.pop(message.data_id, None)
            elif isinstance(message, StartJob):
                try:
                    end = self._done(message)
                except KeyboardInterrupt:  # in its very last moment
                    self._number = None
                    end = JobEnd(message.number)
                self._send(end)
                if end.is_broken:
                    return

    def _done(self, message: StartJob) -> JobEnd:
        from gpupack.errors import GpupackError

        fault = ""
        try:
            self._number = message.number
            if not self._is_cancelled:
                message.job.run(self)
        except KeyboardInterrupt:
            pass
        except GpupackError as err:
            fault = str(err)
        except Exception:
            # A bug: the shell gets all of it, the page its last line.
            traceback.print_exc()
            fault = traceback.format_exc().strip().rsplit("\n", 1)[-1]
            return JobEnd(message.number, fault, is_broken=True)
        finally:
            self._number = None
        return JobEnd(message.number, fault)

    def interrupt(self, _signal: int, frame: FrameType | None) -> None:
        """Interrupt the job, if it is the one that is not wanted any more.

        Not while a module is being imported, which some never recover from: the server
        interrupts again soon.
        """
        if self._is_cancelled and not self._is_sending and not _is_importing(frame):
            raise KeyboardInterrupt

    @property
    def _is_cancelled(self) -> bool:
        return self._number is not None and self._number <= self._cancelled.value

    def profiles(self, data_id: str) -> ProfileSet:
        """Return profiles that the server gave."""
        return self._profiles[data_id]

    def tell(self, event: Event) -> None:
        """Hand an event to the server.

        Raises:
            KeyboardInterrupt: If the question has changed.
        """
        number = self._number
        if number is None or self._is_cancelled:
            # Searches keep what they have when interrupted; here it ends for good.
            raise KeyboardInterrupt
        self._send(JobEvent(number, event))

    def _send(self, message: object) -> None:
        """Send a whole message: an interrupt in the middle would leave half of one."""
        self._is_sending = True
        try:
            with contextlib.suppress(BrokenPipeError):
                self._connection.send(message)
        finally:
            self._is_sending = False
        if self._is_cancelled:
            raise KeyboardInterrupt
