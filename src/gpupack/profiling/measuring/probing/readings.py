"""What a model's kernels do to others, and others' to it: read by a probe beside it.

A solo profile does not say how a model gets on with neighbors. Under MPS that depends
on how many kernels a request has and how long they occupy the GPU; where processes take
turns, on how long it keeps the GPU when it is its turn, and on whether it waits for the
GPU at all before the end of a request: a framework that launches kernels one by one
runs ahead of the GPU. No counter of NVML tells. So, after a model was measured, it is
driven on beside a *probe*: a process that runs short kernels (``probe_worker``). How
much longer these take than on the idle GPU is how much the model is waited for; how
much slower the model gets beside those that fill the GPU is how much it waits.

The two sides are those of Mars et al., "Bubble-Up: Increasing Utilization in Modern
Warehouse Scale Computers via Sensible Co-locations", MICRO 2011: a "reporter" that
feels a program's pressure, a "bubble" that shows its sensitivity.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from gpupack.errors import LoadPointError, ServerError
from gpupack.profiling.load import wait_any
from gpupack.profiling.measuring.interval import throughput_requests_per_s
from gpupack.profiling.measuring.probing.kernel_probe import MAX_RUN_S
from gpupack.records.profile import KernelTimes, ProbeReadings, TurnReadings

if TYPE_CHECKING:
    from gpupack.profiling.load import DrivenModel
    from gpupack.profiling.measuring.probing.kernel_probe import KernelProbe

_NUM_REQUESTS = 30
"""So many requests shall end beside kernels that fill the GPU, if they can within
``MAX_RUN_S`` a round."""
_WAIT_S = 0.35
_ALONE_S = 0.1
_TURNS_S = 0.6
_NUM_ROUNDS = 6
_FEWEST_ROUNDS = 2
_LONGEST_S = 8.0
"""All rounds of a slow model take so long, where the fewest can."""
_MIN_ROUND_S = 0.15
_SETTLE_S = 0.03
"""Requests that began before a part of a round do not count."""
_POLL_S = 0.05
LOW_PERCENT, HIGH_PERCENT = 10.0, 98.0


class Readings(TypedDict, total=False):
    """What a probe reads, by name of the record's field."""

    probe: ProbeReadings | None
    turns: TurnReadings | None


def readings_beside(
    driven: DrivenModel, probe: KernelProbe, *, throughput_infer_per_sec: float
) -> Readings:
    """Run the probe beside a model that is being driven, then alone.

    The model's loop is stopped in between. None where not even two requests ended.

    Args:
        driven: Alone on the GPU, its loop running.
        probe: Not entered.
        throughput_infer_per_sec: What the model reaches without the probe.

    Raises:
        DeviceError: The probe cannot use the GPU.
        LoadPointError: The model failed.
    """
    requests_per_s = throughput_infer_per_sec / driven.load.load_point.batch_size
    try:
        if probe.in_turns:
            return {"turns": _turns_beside(driven, probe, requests_per_s)}
        return {"probe": _probe_beside(driven, probe, requests_per_s)}
    except ServerError as err:
        raise LoadPointError(
            str(err), stage="measure", model_name=driven.model_name
        ) from err


def _probe_beside(
    driven: DrivenModel, probe: KernelProbe, requests_per_s: float
) -> ProbeReadings | None:
    process = driven.process
    with probe:
        found = _by_turns(driven, probe, "full", requests_per_s)
        beside_us = {
            kind: probe.run(kind, _WAIT_S, meanwhile=process.collect)
            for kind in ("spread", "single")
        }
        process.stop()
        alone_us = {
            kind: probe.run(kind, _ALONE_S) for kind in ("full", "spread", "single")
        }
    if found is None:
        return None
    beside_us["full"] = found.kernel_us
    full, spread, single = (
        KernelTimes(alone_us=alone_us[kind], beside_us=beside_us[kind])
        for kind in ("full", "spread", "single")
    )
    return ProbeReadings(
        throughput_alone_infer_per_sec=found.alone_infer_per_sec,
        throughput_infer_per_sec=found.beside_infer_per_sec,
        full_kernel=full,
        spread_kernel=spread,
        single_kernel=single,
    )


def _turns_beside(
    driven: DrivenModel, probe: KernelProbe, requests_per_s: float
) -> TurnReadings | None:
    process = driven.process
    with probe:
        taken_us = np.array(probe.turns(_TURNS_S, meanwhile=process.collect))
        found = _by_turns(driven, probe, "busy", requests_per_s)
        process.stop()
        alone_us = float(np.median(probe.turns(_ALONE_S)))
    if found is None:
        return None
    low_us, high_us = np.percentile(taken_us, [LOW_PERCENT, HIGH_PERCENT])
    return TurnReadings(
        kernel_alone_us=alone_us,
        kernel_low_us=float(low_us),
        kernel_mean_us=float(taken_us.mean()),
        kernel_high_us=float(high_us),
        throughput_alone_infer_per_sec=found.alone_infer_per_sec,
        throughput_infer_per_sec=found.beside_infer_per_sec,
    )


class _Beside(NamedTuple):
    """A model without and with kernels of a kind beside it."""

    alone_infer_per_sec: float
    beside_infer_per_sec: float
    kernel_us: float


def _by_turns(
    driven: DrivenModel, probe: KernelProbe, kind: str, requests_per_s: float
) -> _Beside | None:
    """Measure the model alone and beside kernels of a kind, in rounds.

    A host whose speed moves from second to second would else be taken for a delay, or
    hide one. None where not even two requests ended in a part of any round.
    """
    duration_s = min(
        max(_MIN_ROUND_S, _NUM_REQUESTS / _NUM_ROUNDS / requests_per_s), MAX_RUN_S
    )
    settle_s = min(max(_SETTLE_S, 1 / requests_per_s), MAX_RUN_S)
    affordable = int(_LONGEST_S / (2 * (duration_s + settle_s)))
    num_rounds = min(max(_FEWEST_ROUNDS, affordable), _NUM_ROUNDS)
    alone, beside, kernels_us = [], [], []
    for _ in range(num_rounds):
        begin_ns = time.monotonic_ns()
        _drive(driven, duration_s + settle_s)
        middle_ns = time.monotonic_ns()
        kernels_us.append(
            probe.run(kind, duration_s + settle_s, meanwhile=driven.process.collect)
        )
        end_ns = time.monotonic_ns()
        settle_ns = round(1e9 * settle_s)
        alone.append(_requests_per_s(driven, begin_ns + settle_ns, middle_ns))
        beside.append(_requests_per_s(driven, middle_ns + settle_ns, end_ns))
    pairs = [
        (one, other)
        for one, other in zip(alone, beside, strict=True)
        if one is not None and other is not None
    ]
    if not pairs:
        return None
    batch_size = driven.load.load_point.batch_size
    alone_infer_per_sec, beside_infer_per_sec = (
        batch_size * len(pairs) / sum(1 / pair[which] for pair in pairs)
        for which in (0, 1)
    )
    return _Beside(
        alone_infer_per_sec, beside_infer_per_sec, sum(kernels_us) / num_rounds
    )


def _drive(driven: DrivenModel, duration_s: float) -> None:
    end_s = time.monotonic() + duration_s
    while time.monotonic() < end_s:
        wait_any([driven.process], _POLL_S)
        driven.process.collect()


def _requests_per_s(driven: DrivenModel, begin_ns: int, end_ns: int) -> float | None:
    ends, _ = driven.process.trace.completions()
    return throughput_requests_per_s(ends[(ends >= begin_ns) & (ends <= end_ns)])
