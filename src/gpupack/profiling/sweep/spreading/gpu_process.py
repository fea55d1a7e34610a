"""The process of one GPU, as the team sees it."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpupack.profiling.sweep.spreading.work_order import WorkOrder
    from gpupack.records.profile import LoadPoint

_END_S = 3.0


@dataclass(frozen=True)
class GpuTask:
    """Load points of one model, for one GPU."""

    name: str
    points: tuple[LoadPoint, ...]
    num_tries: int = 0


class GpuWorker:
    """The process of one GPU, as its team sees it."""

    def __init__(self, order: WorkOrder, gpu: int | str, cores: frozenset[int]) -> None:
        self.gpu = gpu
        self.task: GpuTask | None = None
        own, its = multiprocessing.Pipe()
        with its:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m"),
                    "gpupack.profiling.sweep.spreading.gpu_worker",
                    str(its.fileno()),
                ],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the team's to handle
            )
        self.pipe = own
        server = replace(order.server, gpu=gpu)
        self.send(replace(order, server=server), cores)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, *message: Any) -> None:
        """Send what to do; a process that has ended is noticed by its answer."""
        with contextlib.suppress(OSError):
            self.pipe.send(message)

    def receive(self) -> tuple[Any, ...]:
        """Return its next message; ``("ended", reason)`` where none will come."""
        try:
            return tuple(self.pipe.recv())
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            code = self._process.poll()
            return "ended", f"its process ended (exit code {code})"

    def close(self) -> None:
        """End the process, and with it its server."""
        self.pipe.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            # In the middle of a measurement; its server's guard ends the server.
            self._process.kill()
            self._process.wait()
