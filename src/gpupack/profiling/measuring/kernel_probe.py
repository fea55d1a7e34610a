"""What a model's kernels do to others, and others' to it: read by a probe beside it.

A solo profile does not say how a model gets on with neighbors under MPS: that depends
on how many kernels a request has and how long they occupy the GPU, which no counter
of NVML tells. So, after a model was measured, it is driven on beside a *probe*: a
process that runs short kernels of three kinds (``probe_worker``). How much longer
these take than on the idle GPU is how much the model is waited for; how much slower
the model gets beside those that fill the GPU is how much it waits.

The two sides are those of Mars et al., "Bubble-Up: Increasing Utilization in Modern
Warehouse Scale Computers via Sensible Co-locations", MICRO 2011: a "reporter" that
feels a program's pressure, a "bubble" that shows its sensitivity.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from gpupack.errors import DeviceError
from gpupack.profiling.measuring import probe_worker
from gpupack.profiling.measuring.interval import throughput_requests_per_s
from gpupack.records.profile import KernelTimes, ProbeReadings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpupack.profiling.load import DrivenModel

_MIN_S, _MAX_S = 0.5, 2.0
_NUM_REQUESTS = 15
"""So many requests shall end beside full kernels, if they can within ``_MAX_S``."""
_WAIT_S = 0.35
_ALONE_S = 0.1
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = _MAX_S + 3
_POLL_S = 0.05


class KernelProbe:
    """A context with the probe's process running and its kernel loaded.

    May be entered again. Outside, it has no process, so that it holds nothing of the
    GPU's memory while a model is measured.

    Args:
        environment: Variables on top of gpupack's own: the GPU to see, and the MPS
            daemon whose client the models are.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
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
            kind: ``full``, ``spread`` or ``single``.
            duration_s: Run so long.
            meanwhile: Called many times in between.

        Raises:
            DeviceError: The GPU failed, or does not get on.
        """
        assert self._process is not None  # the context is open
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer says why
            self._process.stdin.write(f"{kind} {duration_s}\n")
            self._process.stdin.flush()
        return self._answer(duration_s + _START_TIMEOUT_S, meanwhile)["kernel_us"]

    def _answer(
        self, timeout_s: float, meanwhile: Callable[[], None] | None = None
    ) -> dict[str, float]:
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


def probe_beside(
    driven: DrivenModel, probe: KernelProbe, *, requests_per_s: float
) -> ProbeReadings | None:
    """Run the probe beside a model that is being driven, then alone.

    The model's loop is stopped in between. None where not even two requests ended.

    Args:
        driven: Alone on the GPU, its loop running.
        probe: Not entered.
        requests_per_s: What the model reaches without the probe.

    Raises:
        DeviceError: The probe cannot use the GPU.
        ServerError: The model failed.
    """
    load, process = driven.load, driven.process
    duration_s = min(max(_MIN_S, _NUM_REQUESTS / requests_per_s), _MAX_S)
    with probe:
        begin_ns = time.monotonic_ns()
        beside_us = {"full": probe.run("full", duration_s, meanwhile=process.collect)}
        end_ns = time.monotonic_ns()
        for kind in ("spread", "single"):
            beside_us[kind] = probe.run(kind, _WAIT_S, meanwhile=process.collect)
        process.stop()
        alone_us = {kind: probe.run(kind, _ALONE_S) for kind in beside_us}
    ends, _ = process.trace.completions()
    reached = throughput_requests_per_s(ends[(ends >= begin_ns) & (ends <= end_ns)])
    if reached is None:
        return None
    full, spread, single = (
        KernelTimes(alone_us=alone_us[kind], beside_us=beside_us[kind])
        for kind in ("full", "spread", "single")
    )
    return ProbeReadings(
        throughput_infer_per_sec=reached * load.load_point.batch_size,
        full_kernel=full,
        spread_kernel=spread,
        single_kernel=single,
    )
