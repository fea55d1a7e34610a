"""The host as the device: no GPU, so the server's own CPU time and memory count.

What a GPU's readings would be, read off the server's process tree: its CPU time as
a share of all cores that it may use (0–100 %), and its resident memory. Everything
else a GPU would say is missing, with the reason.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from gpupack.cpus import count_usable_cpus
from gpupack.profiling.devices.sampler import Poll, PollingSampler
from gpupack.records.gpu import HOST_NAME_PREFIX, DeviceKind, GpuType

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

INTERVAL_S = 0.05
"""Between two looks; each takes CPU time from the server that is measured."""

CPU_PERIOD_S = 0.25
"""A CPU share is taken over at least this long: the kernel counts in ticks of 10 ms."""

FAMILY_PERIOD_S = 0.25
"""How long the list of the server's processes is taken to hold."""

_NO_GPU = "the host was measured; only a GPU has this"
_NO_SERVER = (
    "no GPU driver, and the server's process is not known: it is not on this host, "
    "or was not started by gpupack"
)
_SERVER_GONE = "the server's process ended during the measurement"

_GPU_ONLY = (
    "memory_utilization_percent",
    "sm_utilization_percent",
    "sm_occupancy_percent",
    "dram_bandwidth_percent",
    "tensor_activity_percent",
    "power_mean_watts",
    "energy_joules",
)


class HostDevice:
    """The host's CPUs and memory, as far as one server uses them."""

    def __init__(self, server_pid: int | None = None) -> None:
        self._server_pid = server_pid
        self._num_cpus = count_usable_cpus()
        self._gpu_type = GpuType(
            name=f"{HOST_NAME_PREFIX}{self._num_cpus} CPUs",
            memory_bytes=psutil.virtual_memory().total,
            kind=DeviceKind.HOST,
        )

    @property
    def gpu_type(self) -> GpuType:
        """A type of kind ``HOST`` with the host's main memory."""
        return self._gpu_type

    def environment_fields(self) -> dict[str, object]:
        """Return the processor's name and how many of its cores may be used."""
        return {"cpu_name": read_cpu_name(), "num_cpus": self._num_cpus}

    def foreign_processes(self, own_pids: Collection[int]) -> tuple[str, ...]:
        """Return nothing: a host always runs other processes than the server."""
        return ()

    def near_cores(self) -> frozenset[int]:
        """Return nothing: no bus is between."""
        return frozenset()

    def memory_used_bytes(self) -> int | None:
        """Return the resident memory of the server's process tree."""
        if self._server_pid is None:
            return None
        family = ProcessFamily(self._server_pid)
        return family.read().resident_bytes if family.is_alive() else None

    def sampler(self, *, interval_s: float = INTERVAL_S) -> PollingSampler:
        """Return a context in which the process tree is read every ``interval_s``."""
        return PollingSampler(
            HostSource(self._server_pid, num_cpus=self._num_cpus), interval_s=interval_s
        )


class FamilyReading:
    """CPU time so far and resident memory of a process tree."""

    __slots__ = ("cpu_s", "resident_bytes")

    def __init__(self, cpu_s: float, resident_bytes: int) -> None:
        self.cpu_s = cpu_s
        self.resident_bytes = resident_bytes


class ProcessFamily:
    """A process and its descendants, read as one.

    CPU time never falls: what a child used before it ended stays counted.
    """

    def __init__(self, root_pid: int) -> None:
        self._root: psutil.Process | None = None
        self._members: dict[int, psutil.Process] = {}
        self._cpu_s: dict[int, float] = {}
        self._cpu_s_of_ended = 0.0
        self._listed_s = -float("inf")
        try:
            self._root = psutil.Process(root_pid)
        except psutil.Error:
            return
        self._members[root_pid] = self._root

    def is_alive(self) -> bool:
        """Return whether the root process runs."""
        try:
            return (
                self._root is not None
                and self._root.is_running()
                and self._root.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False

    def read(self) -> FamilyReading:
        """Return CPU time and resident memory, summed over the family."""
        self._refresh()
        resident_bytes = 0
        for pid, member in list(self._members.items()):
            try:
                with member.oneshot():
                    times = member.cpu_times()
                    resident_bytes += member.memory_info().rss
            except psutil.Error:
                del self._members[pid]
                self._cpu_s_of_ended += self._cpu_s.pop(pid, 0.0)
            else:
                self._cpu_s[pid] = times.user + times.system
        return FamilyReading(
            self._cpu_s_of_ended + sum(self._cpu_s.values()), resident_bytes
        )

    def _refresh(self) -> None:
        now_s = time.monotonic()
        if self._root is None or now_s - self._listed_s < FAMILY_PERIOD_S:
            return
        self._listed_s = now_s
        try:
            for child in self._root.children(recursive=True):
                self._members.setdefault(child.pid, child)
        except psutil.Error:
            return


class HostSource:
    """CPU share and resident memory of a server for a sampler."""

    utilization_period_s = CPU_PERIOD_S

    def __init__(self, server_pid: int | None, *, num_cpus: int) -> None:
        self.num_cpus = num_cpus
        self._family = None if server_pid is None else ProcessFamily(server_pid)
        self._last: tuple[float, float] | None = None

    def poll(self) -> Poll:
        """Read memory, and the CPU share when the last is long enough ago."""
        errors = dict.fromkeys(_GPU_ONLY, _NO_GPU)
        reason = None
        if self._family is None:
            reason = _NO_SERVER
        elif not self._family.is_alive():
            reason = _SERVER_GONE
        if self._family is None or reason is not None:
            errors["gpu_utilization_percent"] = reason or _NO_SERVER
            errors["memory_used_bytes"] = reason or _NO_SERVER
            return Poll(at_s=time.monotonic(), errors=errors)
        reading = self._family.read()
        now_s = time.monotonic()
        percent = None
        if self._last is None:
            self._last = now_s, reading.cpu_s
        elif now_s - self._last[0] >= CPU_PERIOD_S:
            percent = self.share_percent(self._last, (now_s, reading.cpu_s))
            self._last = now_s, reading.cpu_s
        return Poll(
            at_s=now_s,
            gpu_utilization_percent=percent,
            memory_used_bytes=reading.resident_bytes,
            errors=errors,
        )

    def start_span(self) -> HostSpan:
        """Start counting CPU time at this moment."""
        return HostSpan(self, self._family)

    def share_percent(
        self, start: tuple[float, float], end: tuple[float, float]
    ) -> float | None:
        """Return CPU time as a share of all usable cores, None over no time."""
        elapsed_s, cpu_s = end[0] - start[0], end[1] - start[1]
        if elapsed_s <= 0:
            return None
        return min(max(100 * cpu_s / (elapsed_s * self.num_cpus), 0.0), 100.0)


class HostSpan:
    """CPU time of a server from one moment on."""

    def __init__(self, source: HostSource, family: ProcessFamily | None) -> None:
        self._source = source
        self._family = family
        self._start = self._now()

    def end(self) -> tuple[Mapping[str, float], Mapping[str, str]]:
        """Return the mean CPU share since the span began."""
        name = "gpu_utilization_mean_percent"
        now = self._now()
        if self._start is None or now is None:
            return {}, {name: _NO_SERVER if self._family is None else _SERVER_GONE}
        percent = self._source.share_percent(self._start, now)
        return ({}, {}) if percent is None else ({name: percent}, {})

    def _now(self) -> tuple[float, float] | None:
        if self._family is None or not self._family.is_alive():
            return None
        return time.monotonic(), self._family.read().cpu_s


def read_cpu_name() -> str | None:
    """Return the processor's name, None where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None
