"""Read a device beside a measurement: a thread that polls, and what it adds up to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from gpupack.profiling.devices.clocks import ClockReadings
from gpupack.profiling.devices.device import DeviceReadings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_DUTY_RATIO = 0.05
"""Share of one core that polling may cost; a slow driver is asked less often."""

NOTHING_READ = "no reading fell into the measurement"


@dataclass(frozen=True)
class Poll:
    """One look at a device; what could not be read is None.

    ``errors`` holds the reason under the name of the field of ``DeviceReadings``
    that suffers; a None without one is a reading that was not due.
    """

    at_s: float
    gpu_utilization_percent: float | None = None
    memory_utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    power_mean_watts: float | None = None
    slowdowns: tuple[str, ...] | None = None
    """What holds the clocks back; None where that was not read."""
    sm_clock_mhz: int | None = None
    most_sm_clock_mhz: int | None = None
    """What the device can do."""
    errors: Mapping[str, str] = field(default_factory=dict)


class Span(Protocol):
    """Counters that run from one moment on."""

    def end(self) -> tuple[Mapping[str, float], Mapping[str, str]]:
        """Return values over the span so far, and reasons for what is missing.

        Both by field name of ``DeviceReadings``. May be called more than once.
        """
        ...


class ReadingSource(Protocol):
    """What a sampler polls."""

    utilization_period_s: float
    """A utilization describes about this long before it was read."""

    def poll(self) -> Poll:
        """Read what can be read now; never raises for a device that fails."""
        ...

    def start_span(self) -> Span:
        """Start counters at this moment."""
        ...


class PollingSampler:
    """A thread that polls a source from entering to leaving.

    The thread sleeps between polls. Where a poll takes long, the pause grows so that
    polling costs at most ``MAX_DUTY_RATIO`` of a core and does not disturb what is
    measured.
    """

    def __init__(self, source: ReadingSource, *, interval_s: float) -> None:
        if not interval_s > 0:
            raise ValueError(f"interval_s must be more than 0, got {interval_s}")
        self._source = source
        self._interval_s = interval_s
        self._lock = threading.Lock()
        """Guards what was read; held for moments only."""
        self._reading = threading.Lock()
        """Guards the source, which need not be safe to use from two threads."""
        self._stop = threading.Event()
        self._polls: list[Poll] = []
        self._start_s = time.monotonic()
        self._span: Span | None = None
        self._thread = threading.Thread(
            target=self._run, name="gpupack-sampler", daemon=True
        )

    def __enter__(self) -> Self:
        self.reset()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def reset(self) -> None:
        """Forget what was read so far: a measurement begins now."""
        with self._reading:
            span = self._source.start_span()
        with self._lock:
            self._polls.clear()
            self._start_s = time.monotonic()
            self._span = span

    def readings(self) -> DeviceReadings:
        """Return what was read since entering, or since the last ``reset``."""
        with self._reading:
            last = self._source.poll()
            with self._lock:
                polls = [*self._polls, last]
                start_s, span = self._start_s, self._span
            values, reasons = span.end() if span is not None else ({}, {})
        return summarize(
            polls,
            not_before_s=start_s + self._source.utilization_period_s,
            values=values,
            reasons=reasons,
        )

    def _run(self) -> None:
        while True:
            started_s = time.monotonic()
            with self._reading:
                poll = self._source.poll()
            cost_s = time.monotonic() - started_s
            with self._lock:
                # A poll that began before a reset belongs to the time before it.
                if started_s >= self._start_s:
                    self._polls.append(poll)
            if self._stop.wait(max(self._interval_s - cost_s, cost_s / MAX_DUTY_RATIO)):
                return


def summarize(
    polls: Sequence[Poll],
    *,
    not_before_s: float,
    values: Mapping[str, float],
    reasons: Mapping[str, str],
) -> DeviceReadings:
    """Return maxima and means of ``polls``, with the counters' values beside them.

    Args:
        polls: In order of time, at least one.
        not_before_s: Utilizations read earlier also describe the time before the
            measurement. They count only if there are no later ones.
        values: What counters gave for the whole measurement, by field name; they
            replace what the polls would say.
        reasons: Why a counter gave nothing, by field name.

    Returns:
        Readings in which a field is missing if its last poll failed (a GPU that
        went away has no honest maximum) or if no poll read it.
    """
    failed = polls[-1].errors
    settled = [poll for poll in polls if poll.at_s >= not_before_s]

    def series(name: str, among: Sequence[Poll]) -> list[float]:
        read = [getattr(poll, name) for poll in among]
        return [value for value in read if value is not None]

    result: dict[str, float] = {}
    missing: dict[str, str] = {}

    def put(name: str, source_name: str, numbers: Sequence[float], mean: bool) -> None:
        if name in values:
            result[name] = values[name]
        elif source_name in failed:
            missing[name] = failed[source_name]
        elif name in reasons:
            missing[name] = reasons[name]
        elif not numbers:
            missing[name] = NOTHING_READ
        else:
            result[name] = sum(numbers) / len(numbers) if mean else max(numbers)

    for resource in ("gpu_utilization", "memory_utilization"):
        highest, mean = f"{resource}_percent", f"{resource}_mean_percent"
        numbers = series(highest, settled) or series(highest, polls)
        put(highest, highest, numbers, mean=False)
        put(mean, highest, numbers, mean=True)
    power, used = "power_mean_watts", "memory_used_bytes"
    put(power, power, series(power, polls), mean=True)
    put(used, used, series(used, polls), mean=False)
    for name in (
        "sm_utilization_percent",
        "sm_occupancy_percent",
        "dram_bandwidth_percent",
        "tensor_activity_percent",
        "energy_joules",
    ):
        put(name, name, (), mean=False)
    used_bytes = result.get(used)
    return DeviceReadings(
        gpu_utilization_percent=result.get("gpu_utilization_percent"),
        gpu_utilization_mean_percent=result.get("gpu_utilization_mean_percent"),
        memory_utilization_percent=result.get("memory_utilization_percent"),
        memory_utilization_mean_percent=result.get("memory_utilization_mean_percent"),
        memory_used_bytes=None if used_bytes is None else int(used_bytes),
        sm_utilization_percent=result.get("sm_utilization_percent"),
        sm_occupancy_percent=result.get("sm_occupancy_percent"),
        dram_bandwidth_percent=result.get("dram_bandwidth_percent"),
        tensor_activity_percent=result.get("tensor_activity_percent"),
        power_mean_watts=result.get("power_mean_watts"),
        energy_joules=result.get("energy_joules"),
        missing=missing,
        clocks=_clocks(polls),
    )


def _clocks(polls: Sequence[Poll]) -> ClockReadings:
    looks = [one.slowdowns for one in polls if one.slowdowns is not None]
    counts = Counter(name for one in looks for name in one)
    clocks = [one.sm_clock_mhz for one in polls if one.sm_clock_mhz is not None]
    return ClockReadings(
        shares={name: count / len(looks) for name, count in counts.items()},
        lowest_mhz=min(clocks, default=None),
        highest_mhz=max(clocks, default=None),
        most_mhz=polls[-1].most_sm_clock_mhz,
    )
