"""One measurement: models driven at the same time until each is known well enough."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gpupack.errors import (
    DeviceError,
    LoadPointError,
    ServerError,
)
from gpupack.profiling.devices import ProcessFamily
from gpupack.profiling.load import (
    LIMITED_SHARE,
    DrivenModel,
    ModelLoad,
    stop_together,
    wait_any,
)
from gpupack.profiling.measuring.interval import (
    confidence_ratio,
    throughput_requests_per_s,
)
from gpupack.profiling.measuring.kept_schedule import (
    judge_schedule,
    served_requests_per_s,
    verdict_on_schedule,
)
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.measuring.probing import KernelProbe, readings_beside
from gpupack.profiling.measuring.stability import (
    StoppingRule,
    Verdict,
    Window,
    cut_windows,
)
from gpupack.profiling.measuring.stream_readings import stream_readings
from gpupack.profiling.server import ModelStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gpupack.profiling.devices import Device, DeviceReadings, Sampler
    from gpupack.profiling.load import LoadProcess
    from gpupack.profiling.server import TritonServer
    from gpupack.records.profile import (
        OpenLoop,
        ProbeReadings,
        StreamReadings,
        TurnReadings,
    )

NUM_RECORDED_WINDOWS = 20
_WARM_UP_ROUNDS = 2
_MEMORY_PERIOD_S = 0.5
"""Between two looks at the server's resident memory."""
_LOOK_GROWTH = 1.03
"""The rule is asked again once the measurement is longer by this: few looks bias a
sequential interval little, and cost little beside what is measured."""


@dataclass(frozen=True)
class MeasuredLoad:
    """What was measured of one model.

    Attributes:
        throughput_infer_per_sec: Completed requests × batch size ÷ seconds, None when
            fewer than two requests ended.
        ci_ratio: Half-width of its 95 % confidence interval ÷ throughput: the one asked
            for, or the one reached where that is wider. None when too few requests
            ended.
        latencies_us: Of every request that counts, in order of ending.
        statistics: The server's own counters over the measurement.
        client_cpu_percent: CPU time of the load process ÷ wall time.
        is_client_limited: Whether the load process, not the server, set the pace; in an
            open loop, whether it could not send what was due.
        open_loop: What came of the schedule; None of a closed loop.
    """

    load: ModelLoad
    throughput_infer_per_sec: float | None
    ci_ratio: float | None
    latencies_us: npt.NDArray[np.float64]
    windows: tuple[Window, ...]
    verdict: Verdict
    statistics: ModelStatistics
    client_cpu_percent: float | None
    is_client_limited: bool | None
    protocol: str
    notes: tuple[str, ...] = ()
    open_loop: OpenLoop | None = None
    stream: StreamReadings | None = None


@dataclass(frozen=True)
class Measurement:
    """What was measured of all models over one common window."""

    loads: tuple[MeasuredLoad, ...]
    duration_s: float
    readings: DeviceReadings
    server_cpu_percent: float | None = None
    server_memory_bytes: int | None = None
    """Highest resident memory of the server's process tree."""
    probe: ProbeReadings | None = None
    turns: TurnReadings | None = None
    notes: tuple[str, ...] = field(default=())
    num_unanswered: tuple[int, ...] = ()
    """By load: requests that the server still works on, though the client waited for
    them for as long as one may take."""


def measure(
    server: TritonServer,
    load: ModelLoad,
    *,
    device: Device,
    options: MeasureOptions | None = None,
    server_pid: int | None = None,
    process: LoadProcess | None = None,
    is_warm: bool = False,
    probe: KernelProbe | None = None,
) -> Measurement:
    """Measure one loaded model at one load point; see ``measure_together``."""
    return measure_together(
        server,
        [load],
        device=device,
        options=options,
        server_pid=server_pid,
        processes=None if process is None else [process],
        is_warm=is_warm,
        probe=probe,
    )


def measure_together(
    server: TritonServer,
    loads: Sequence[ModelLoad],
    *,
    device: Device,
    options: MeasureOptions | None = None,
    server_pid: int | None = None,
    processes: Sequence[LoadProcess] | None = None,
    is_warm: bool = False,
    probe: KernelProbe | None = None,
) -> Measurement:
    """Drive loaded models at the same time, each from a client process of its own.

    All loops run before the common window begins and until it ends, so each model
    feels the others all the time. The window ends when every model satisfies its
    stopping rule, or at the time cap.

    Args:
        server: The server that has the models loaded, but for those of which their
            load names another.
        loads: One per model, or several for one model.
        device: What is read beside the measurement.
        options: How well to measure.
        server_pid: The server's process, for its CPU share; None if unknown.
        processes: Client processes to use, one per load; by default new ones.
        is_warm: The models were driven just before.
        probe: Run beside a model that is alone, once all else was measured.

    Raises:
        LoadPointError: A model failed; says which, and at what stage.
    """
    chosen = options or MeasureOptions()
    kind = device.gpu_type.kind
    rules = [
        chosen.rule(
            concurrency=load.load_point.in_flight,
            kind=kind,
            is_open_loop=load.requests_per_s is not None,
        )
        for load in loads
    ]
    with ExitStack() as stack:
        driven = [
            stack.enter_context(
                DrivenModel(
                    server,
                    load,
                    process=processes[index] if processes else None,
                    request_timeout_s=chosen.request_timeout_s,
                )
            )
            for index, load in enumerate(loads)
        ]
        sampler = stack.enter_context(device.sampler())
        # After an error, the loops end at once: nothing they have is still wanted.
        stack.push(lambda kind, *_: _abandon(driven) if kind is not None else None)
        return measure_driven(
            driven,
            rules,
            sampler,
            warm_up_s=chosen.warm_up_duration_s(kind, is_warm=is_warm),
            cap_s=chosen.max_duration_s,
            server_pid=server_pid,
            probe=probe,
        )


def measure_driven(
    driven: Sequence[DrivenModel],
    rules: Sequence[StoppingRule],
    sampler: Sampler,
    *,
    warm_up_s: float,
    cap_s: float,
    server_pid: int | None = None,
    probe: KernelProbe | None = None,
) -> Measurement:
    """Measure models whose clients are ready and idle, and leave these so.

    There is a rule for each, they are driven for ``warm_up_s`` first, and the rest is
    as for ``measure_together``.
    """
    for model in driven:
        model.start()
    _warm_up(driven, warm_up_s)
    measurement = _measure_window(driven, rules, sampler, server_pid, cap_s=cap_s)
    if probe is not None and len(driven) == 1 and driven[0].load.requests_per_s is None:
        measurement = _probed(measurement, driven[0], probe)
    return replace(measurement, num_unanswered=stop_together(driven))


def _probed(
    measurement: Measurement, model: DrivenModel, probe: KernelProbe
) -> Measurement:
    """Add what the probe reads; a probe that fails leaves a note."""
    (measured,) = measurement.loads
    rate = measured.throughput_infer_per_sec
    if rate is None:
        return measurement
    try:
        found = readings_beside(model, probe, throughput_infer_per_sec=rate)
    except DeviceError as err:
        return replace(measurement, notes=(*measurement.notes, str(err)))
    return replace(measurement, **found)


def _warm_up(driven: Sequence[DrivenModel], duration_s: float) -> None:
    """Drive all models until each has answered every client twice, and for a while."""
    begin = time.monotonic()
    rounds = _WARM_UP_ROUNDS
    while True:
        wait_any([model.process for model in driven], 0.1)
        _collect(driven, "warmup")
        is_warm = all(
            len(model.process.trace.completions()[0])
            >= rounds * model.load.load_point.in_flight
            for model in driven
            if model.load.requests_per_s is None
        )
        if is_warm and time.monotonic() - begin >= duration_s:
            return


def _measure_window(
    driven: Sequence[DrivenModel],
    rules: Sequence[StoppingRule],
    sampler: Sampler,
    server_pid: int | None,
    *,
    cap_s: float,
) -> Measurement:
    family = ProcessFamily(server_pid) if server_pid is not None else None
    before = _statistics(driven)
    host_before = family.read() if family else None
    memory_bytes = host_before.resident_bytes if host_before else 0
    next_memory_s = _MEMORY_PERIOD_S
    sampler.reset()
    begin_ns = time.monotonic_ns()
    next_look_s = 0.0
    while True:
        wait_any([model.process for model in driven], 0.2)
        _collect(driven, "measure")
        now_ns = time.monotonic_ns()
        elapsed_s = (now_ns - begin_ns) / 1e9
        if elapsed_s < next_look_s:
            continue
        next_look_s = elapsed_s * _LOOK_GROWTH
        if family and elapsed_s >= next_memory_s:
            memory_bytes = max(memory_bytes, family.read().resident_bytes)
            next_memory_s = elapsed_s + _MEMORY_PERIOD_S
        if elapsed_s < cap_s:
            next_look_s = min(next_look_s, cap_s)
        verdicts = []
        for model, rule in zip(driven, rules, strict=True):
            ends, latencies = _between(model, begin_ns, now_ns)
            verdicts.append(rule.decide(ends, latencies, elapsed_s))
        if all(verdict.is_done for verdict in verdicts):
            break
    readings = sampler.readings()
    host_after = family.read() if family else None
    duration_s = (time.monotonic_ns() - begin_ns) / 1e9
    after = _statistics(driven)
    measured = tuple(
        _summarize(model, verdict, begin_ns, now_ns, later.since(earlier))
        for model, verdict, earlier, later in zip(
            driven, verdicts, before, after, strict=True
        )
    )
    return Measurement(
        loads=measured,
        duration_s=duration_s,
        readings=readings,
        server_cpu_percent=(
            100 * max(0.0, host_after.cpu_s - host_before.cpu_s) / duration_s
            if host_before and host_after
            else None
        ),
        server_memory_bytes=(
            max(memory_bytes, host_after.resident_bytes) or None if host_after else None
        ),
    )


def _summarize(
    model: DrivenModel,
    verdict: Verdict,
    begin_ns: int,
    end_ns: int,
    statistics: ModelStatistics,
) -> MeasuredLoad:
    ends, latencies = _between(model, begin_ns, end_ns)
    ends, latencies = ends[verdict.begin :], latencies[verdict.begin :]
    load_point = model.load.load_point
    rate = throughput_requests_per_s(ends)
    ci_ratio = confidence_ratio(ends, concurrency=load_point.in_flight)
    shares = model.process.trace.cpu_shares(begin_ns, end_ns)
    is_limited = None if shares is None else shares[1] >= LIMITED_SHARE
    open_loop = judge_schedule(model, ends, latencies, begin_ns, end_ns)
    if open_loop is not None:
        is_limited = not open_loop.is_sent
        ended_per_s = 1e9 * len(ends) / (end_ns - begin_ns)
        verdict = verdict_on_schedule(verdict, open_loop, ended_per_s)
        rate, ci_ratio = served_requests_per_s(
            open_loop, ends, begin_ns, end_ns, ci_ratio
        )
    return MeasuredLoad(
        load=model.load,
        throughput_infer_per_sec=None if rate is None else rate * load_point.batch_size,
        ci_ratio=None if ci_ratio is None else max(ci_ratio, verdict.least_ci_ratio),
        # The first end opens the window; its request was sent before.
        latencies_us=latencies[1 if open_loop is None else 0 :] / 1e3,
        windows=cut_windows(ends, NUM_RECORDED_WINDOWS),
        verdict=verdict,
        statistics=statistics,
        client_cpu_percent=None if shares is None else 100 * shares[0],
        is_client_limited=is_limited,
        protocol=model.protocol,
        notes=tuple(model.notes),
        open_loop=open_loop,
        stream=stream_readings(model, begin_ns, end_ns, verdict.begin),
    )


def _between(
    model: DrivenModel, begin_ns: int, end_ns: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    ends, latencies = model.process.trace.completions()
    first, last = np.searchsorted(ends, [begin_ns, end_ns])
    return ends[first:last], latencies[first:last]


def _collect(driven: Sequence[DrivenModel], stage: str) -> None:
    for model in driven:
        try:
            model.process.collect()
        except ServerError as err:
            raise LoadPointError(
                f"model {model.model_name} at load point {model.load.load_point}: "
                f"{err}",
                stage=stage,
                model_name=model.model_name,
            ) from err


def _statistics(driven: Sequence[DrivenModel]) -> list[ModelStatistics]:
    try:
        return [model.statistics() for model in driven]
    except ServerError as err:
        name = driven[0].model_name
        raise LoadPointError(str(err), stage="measure", model_name=name) from err


def _abandon(driven: Sequence[DrivenModel]) -> None:
    for model in driven:
        model.process.close()
