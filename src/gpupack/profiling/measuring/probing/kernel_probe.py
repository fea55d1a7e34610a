"""The probe: a process that runs short kernels beside a model (``probe_worker``)."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from gpupack.errors import DeviceError
from gpupack.profiling.measuring.probing import probe_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_RUN_S = 2.0
"""No kind of kernel is run for longer at a time."""
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = MAX_RUN_S + 3
_POLL_S = 0.05


class KernelProbe:
    """A context with the probe's process running and its kernel loaded.

    May be entered again. Outside, it has no process, so that it holds nothing of the
    GPU's memory while a model is measured.

    Args:
        environment: Variables on top of gpupack's own: the GPU to see, and the MPS
            daemon whose client the models are.
        in_turns: The models are no clients of such a daemon: processes take turns on
            the GPU.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        in_turns: bool = False,
    ) -> None:
        self.in_turns = in_turns
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start the process.

        Raises:
            DeviceError: It cannot use the GPU; says why.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", probe_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self._environment,
            start_new_session=True,  # Ctrl-C is gpupack's to handle
        )
        try:
            self._answer(_START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            # By itself: an MPS client that is killed may take the others with it.
            process.wait(timeout=_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def check(self) -> None:
        """Try the probe once.

        Raises:
            DeviceError: It cannot use the GPU; says why.
        """
        with self:
            self.run("full", 0.0)

    def run(
        self,
        kind: str,
        duration_s: float,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> float:
        """Return how long a kernel of a kind takes on average, in microseconds.

        Args:
            kind: ``full``, ``spread``, ``single`` or ``busy``.
            duration_s: Run so long.
            meanwhile: Called many times in between.

        Raises:
            DeviceError: The GPU failed, or does not get on.
        """
        return float(self._run(kind, duration_s, meanwhile)["kernel_us"])

    def turns(
        self, duration_s: float, *, meanwhile: Callable[[], None] | None = None
    ) -> list[float]:
        """Return how long short kernels took, now and then, from launch to done, in us.

        The arguments and errors are those of ``run``.
        """
        return list(self._run("turn", duration_s, meanwhile)["taken_us"])

    def _run(
        self, kind: str, duration_s: float, meanwhile: Callable[[], None] | None
    ) -> dict[str, Any]:
        assert self._process is not None  # the context is open
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer says why
            self._process.stdin.write(f"{kind} {duration_s}\n")
            self._process.stdin.flush()
        return self._answer(duration_s + _START_TIMEOUT_S, meanwhile)

    def _answer(
        self, timeout_s: float, meanwhile: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline_s = time.monotonic() + timeout_s
        while not select.select([self._process.stdout], [], [], _POLL_S)[0]:
            if meanwhile is not None:
                meanwhile()
            if time.monotonic() > deadline_s:
                raise DeviceError(
                    f"the kernel probe did not answer within {timeout_s:g} s"
                )
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            raise DeviceError(f"the kernel probe cannot run: {answer['error']}")
        return dict(answer)
