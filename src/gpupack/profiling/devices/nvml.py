# Long because it is the one door to NVML: every reading has its fallback here.
"""GPUs and MIG devices as the NVIDIA driver describes them.

The one door to ``pynvml``: no NVML error leaves this module. Opening a GPU that
cannot be used raises a ``DeviceError``; a single reading that cannot be had is None
with the reason, since the rest of a measurement is still worth having.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from gpupack.errors import DeviceError, UnknownNameError
from gpupack.profiling.devices.clocks import slowdowns
from gpupack.profiling.devices.device import DEFAULT_INTERVAL_S
from gpupack.profiling.devices.processes import descendants, describe_process
from gpupack.profiling.devices.sampler import Poll, PollingSampler
from gpupack.profiling.measuring_stack import not_installed
from gpupack.quoting import quoted
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import GpuType

try:
    import pynvml
except ImportError as err:
    raise not_installed(err) from err

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_GPM_METRICS: dict[str, int] = {
    "sm_utilization_percent": pynvml.NVML_GPM_METRIC_SM_UTIL,
    "sm_occupancy_percent": pynvml.NVML_GPM_METRIC_SM_OCCUPANCY,
    "dram_bandwidth_percent": pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
    "tensor_activity_percent": pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
}

Reading = TypeVar("Reading")

_MPS_SERVER = "nvidia-cuda-mps-server"
_NO_MEMORY = (
    "NVML knows of no memory of this GPU's own: it shares the host's (unified memory), "
    "or is virtual"
)

_UNUSABLE = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_NO_PERMISSION)
"""What a GPU answers that cannot be used at all."""
_WAY_OUT: dict[int, str] = {
    pynvml.NVML_ERROR_NO_PERMISSION: "run as a user who may read this GPU",
    pynvml.NVML_ERROR_GPU_IS_LOST: "reset the GPU or reboot the host",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "the driver was updated while loaded; reboot the host"
    ),
}


def has_driver() -> bool:
    """Return whether an NVIDIA driver answers and has at least one GPU.

    Raises:
        DeviceError: If there is a driver that cannot be used, such as one whose
            library and kernel module differ: falling back to the host's own CPUs
            would hide that.
    """
    try:
        pynvml.nvmlInit()
        return bool(pynvml.nvmlDeviceGetCount() > 0)
    except pynvml.NVMLError as err:
        if err.value in (
            pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
            pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        ):
            return False
        raise DeviceError(f"the NVIDIA driver cannot be used: {_reason(err)}") from err


def open_gpu(selector: str) -> NvmlDevice:
    """Return the GPU or MIG device that ``selector`` names.

    Args:
        selector: An index (``"0"``), GPU and MIG index (``"0:1"``), or the first
            letters of a UUID (``"GPU-5b3c"``, ``"MIG-91f2"``). A GPU that is split
            into MIG devices can be named itself only if it has exactly one.

    Raises:
        UnknownNameError: If there is no such device; names those there are.
        DeviceError: If there is no driver, or the driver cannot be used.
    """
    if not has_driver():
        raise DeviceError(
            f"GPU {quoted(selector)} was asked for, but this host has no NVIDIA driver "
            "or no GPU; leave the GPU out to measure the host itself"
        )
    try:
        devices, failures = _list_devices()
    except pynvml.NVMLError as err:
        raise DeviceError(f"the GPUs cannot be listed: {_reason(err)}") from err
    wanted = selector.strip()
    found = [
        device
        for device in devices
        if device.selector == wanted
        or (wanted.startswith(("GPU-", "MIG-")) and device.uuid.startswith(wanted))
    ]
    if not found and (failure := failures.get(wanted.partition(":")[0])):
        raise DeviceError(f"GPU {wanted} cannot be read: {failure}")
    if len(found) != 1:
        problem = "stands for several devices" if found else "does not exist"
        broken = "".join(f"; GPU {one}: {why}" for one, why in failures.items())
        raise UnknownNameError(
            f"GPU {quoted(selector)} {problem}; this host has "
            f"{_listing(devices)}{broken}"
        )
    (device,) = found
    if device.is_mig or device.mig_mode != "enabled":
        return device
    parts = [one for one in devices if one.is_mig and one.gpu_index == device.gpu_index]
    if len(parts) != 1:
        raise UnknownNameError(
            f"GPU {quoted(selector)} is split into {len(parts)} MIG devices; name one "
            f"of {_listing(parts)}, or create one with nvidia-smi mig"
        )
    return parts[0]


class NvmlDevice:
    """One GPU, or one MIG device of it."""

    def __init__(
        self, handle: object, *, gpu_index: int, mig_index: int | None = None
    ) -> None:
        self._handle = handle
        self.gpu_index = gpu_index
        self.is_mig = mig_index is not None
        self.selector = f"{gpu_index}:{mig_index}" if self.is_mig else str(gpu_index)
        self.uuid: str = pynvml.nvmlDeviceGetUUID(handle)
        self._gpm_handle = (
            pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
            if self.is_mig
            else handle
        )
        self.mig_mode: str | None = None
        with suppress(pynvml.NVMLError):
            current, _pending = pynvml.nvmlDeviceGetMigMode(self._gpm_handle)
            self.mig_mode = "enabled" if current else "disabled"
        total_bytes, self.why_no_memory = _read_total_memory(handle)
        """Why there is no reading of memory, '' where there is one."""
        self._gpu_type = GpuType(
            name=pynvml.nvmlDeviceGetName(handle), memory_bytes=total_bytes
        )

    @property
    def gpu_type(self) -> GpuType:
        """The driver's name of the device, and its total memory."""
        return self._gpu_type

    def environment_fields(self) -> dict[str, object]:
        """Return driver, identity, MIG mode, sharing mode and the clocks of now."""
        fields: dict[str, object] = {
            "gpu_uuid": self.uuid,
            "gpu_index": self.gpu_index,
            "mig_mode": self.mig_mode,
            "sharing_mode": SharingMode.TIME_SLICING,
        }
        whole = self._gpm_handle
        with suppress(pynvml.NVMLError):
            fields["driver_version"] = pynvml.nvmlSystemGetDriverVersion()
        with suppress(pynvml.NVMLError):
            number = pynvml.nvmlSystemGetCudaDriverVersion_v2()
            # 13000 is 13.0, 12040 is 12.4 (NVML API reference).
            fields["cuda_driver_version"] = f"{number // 1000}.{number % 1000 // 10}"
        for name, clock in (
            ("sm_clock_mhz", pynvml.NVML_CLOCK_SM),
            ("memory_clock_mhz", pynvml.NVML_CLOCK_MEM),
        ):
            with suppress(pynvml.NVMLError):
                fields[name] = pynvml.nvmlDeviceGetClockInfo(whole, clock)
        if any(_MPS_SERVER in _process_name(pid) for pid in self._processes()):
            fields["sharing_mode"] = SharingMode.MPS
        return fields

    def foreign_processes(self, own_pids: Collection[int]) -> tuple[str, ...]:
        """Return processes on the device that are none of ``own_pids``, in words.

        Descendants of ``own_pids`` are no strangers, and neither is the MPS server,
        which does nothing of its own. In a container the driver may number processes
        as the host does, so that gpupack's own server looks foreign.
        """
        known = descendants(own_pids)
        described = []
        for pid, used_bytes in sorted(self._processes().items()):
            name = _process_name(pid)
            if pid not in known and _MPS_SERVER not in name:
                described.append(describe_process(pid, name, used_bytes))
        return tuple(described)

    def near_cores(self) -> frozenset[int]:
        """Return the cores that the driver calls ideal for the GPU."""
        num_words = -(-(os.cpu_count() or 1) // 64)
        with suppress(pynvml.NVMLError):
            words = pynvml.nvmlDeviceGetCpuAffinity(self._gpm_handle, num_words)
            return frozenset(
                64 * at + bit
                for at, word in enumerate(words)
                for bit in range(64)
                if int(word) >> bit & 1
            )
        return frozenset()

    def memory_used_bytes(self) -> int | None:
        """Return used device memory: all that cannot be allocated, reserve included."""
        if self.why_no_memory:
            return None
        try:
            return self.used_bytes()
        except pynvml.NVMLError:
            return None

    def sampler(self, *, interval_s: float = DEFAULT_INTERVAL_S) -> PollingSampler:
        """Return a context in which the device is read every ``interval_s``."""
        return PollingSampler(NvmlSource(self), interval_s=interval_s)

    def explain(self, err: pynvml.NVMLError) -> str:
        """Return why a reading of this device is missing, in words."""
        if err.value == pynvml.NVML_ERROR_NOT_SUPPORTED and self.is_mig:
            return "NVML gives this for a whole GPU, not for a MIG device"
        if err.value == pynvml.NVML_ERROR_NOT_SUPPORTED:
            return f"NVML does not support this on {self._gpu_type.name}"
        return _reason(err)

    def used_bytes(self) -> int:
        """Return used device memory; raises NVML's own error."""
        return int(pynvml.nvmlDeviceGetMemoryInfo(self._handle).used)

    def power_watts(self) -> float:
        """Return the power drawn now, or over the driver's last averaging period."""
        return float(pynvml.nvmlDeviceGetPowerUsage(self._handle)) / 1000

    def utilization_percent(self) -> tuple[float, float]:
        """Return NVML's busy time of the GPU and of its memory."""
        rates = pynvml.nvmlDeviceGetUtilizationRates(self._handle)
        return float(rates.gpu), float(rates.memory)

    def slowdowns(self) -> tuple[str, ...]:
        """Return what holds the clocks back now, in words."""
        return slowdowns(
            int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._gpm_handle))
        )

    def sm_clock_mhz(self) -> int:
        """Return the SM clock of now."""
        return int(
            pynvml.nvmlDeviceGetClockInfo(self._gpm_handle, pynvml.NVML_CLOCK_SM)
        )

    def most_sm_clock_mhz(self) -> int | None:
        """Return the highest SM clock that the GPU can have, None if not known."""
        with suppress(pynvml.NVMLError):
            return int(
                pynvml.nvmlDeviceGetMaxClockInfo(self._gpm_handle, pynvml.NVML_CLOCK_SM)
            )
        return None

    def energy_joules(self) -> float:
        """Return the energy used since the driver was loaded."""
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000

    def gpm_sample(self) -> GpmSample:
        """Return the GPM counters of this moment."""
        if not pynvml.nvmlGpmQueryDeviceSupport(self._gpm_handle).isSupportedDevice:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        sample = GpmSample()
        if self.is_mig:
            gpu_instance_id = pynvml.nvmlDeviceGetGpuInstanceId(self._handle)
            pynvml.nvmlGpmMigSampleGet(
                self._gpm_handle, gpu_instance_id, sample.pointer
            )
        else:
            pynvml.nvmlGpmSampleGet(self._gpm_handle, sample.pointer)
        return sample

    def _processes(self) -> dict[int, int | None]:
        """Return the used bytes of every process on the device, by pid."""
        used: dict[int, int | None] = {}
        for list_processes in (
            pynvml.nvmlDeviceGetGraphicsRunningProcesses,
            pynvml.nvmlDeviceGetComputeRunningProcesses,
        ):
            with suppress(pynvml.NVMLError):
                used |= {
                    process.pid: process.usedGpuMemory
                    for process in list_processes(self._handle)
                }
        return used


class GpmSample:
    """GPM counters of one moment, freed with the object."""

    def __init__(self) -> None:
        self.pointer = pynvml.nvmlGpmSampleAlloc()

    def __del__(self) -> None:
        pointer = getattr(self, "pointer", None)
        if pointer is not None:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlGpmSampleFree(pointer)

    def percentages_until(
        self, later: GpmSample
    ) -> tuple[dict[str, float], dict[str, str]]:
        """Return means between two samples, and reasons for those without one."""
        query = pynvml.c_nvmlGpmMetricsGet_t()
        query.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        query.numMetrics = len(_GPM_METRICS)
        query.sample1, query.sample2 = self.pointer, later.pointer
        for position, metric in enumerate(_GPM_METRICS.values()):
            query.metrics[position].metricId = metric
        pynvml.nvmlGpmMetricsGet(query)
        values: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for position, name in enumerate(_GPM_METRICS):
            metric = query.metrics[position]
            if metric.nvmlReturn != pynvml.NVML_SUCCESS:
                reasons[name] = _reason(pynvml.NVMLError(metric.nvmlReturn))
            elif not math.isfinite(metric.value):
                reasons[name] = "NVML GPM gave no number for so short a measurement"
            else:
                # Counters of two moments can come out a hair above 100 %.
                values[name] = min(max(metric.value, 0.0), 100.0)
        return values, reasons


class NvmlSource:
    """Readings of one GPU or MIG device for a sampler."""

    utilization_period_s = 0.2
    """NVML: a sample period is between 1/6 s and 1 s, depending on the product."""

    def __init__(self, device: NvmlDevice) -> None:
        self._device = device
        self._most_sm_clock_mhz = device.most_sm_clock_mhz()

    def poll(self) -> Poll:
        """Read utilizations, used memory and power."""
        errors: dict[str, str] = {}
        used_bytes = None

        def attempt(read: Callable[[], Reading], *names: str) -> Reading | None:
            try:
                return read()
            except pynvml.NVMLError as err:
                errors.update(dict.fromkeys(names, self._device.explain(err)))
                return None

        utilization_percent = attempt(
            self._device.utilization_percent,
            "gpu_utilization_percent",
            "memory_utilization_percent",
        )
        gpu_percent, memory_percent = utilization_percent or (None, None)
        if self._device.why_no_memory:
            errors["memory_used_bytes"] = self._device.why_no_memory
        else:
            used_bytes = attempt(self._device.used_bytes, "memory_used_bytes")
        return Poll(
            at_s=time.monotonic(),
            gpu_utilization_percent=gpu_percent,
            memory_utilization_percent=memory_percent,
            memory_used_bytes=used_bytes,
            power_mean_watts=attempt(self._device.power_watts, "power_mean_watts"),
            slowdowns=attempt(self._device.slowdowns),
            sm_clock_mhz=attempt(self._device.sm_clock_mhz),
            most_sm_clock_mhz=self._most_sm_clock_mhz,
            errors=errors,
        )

    def start_span(self) -> NvmlSpan:
        """Start the energy and GPM counters at this moment."""
        return NvmlSpan(self._device)


class NvmlSpan:
    """Energy and GPM counters from one moment on."""

    def __init__(self, device: NvmlDevice) -> None:
        self._device = device
        self._reasons: dict[str, str] = {}
        self._energy_joules: float | None = None
        self._sample: GpmSample | None = None
        try:
            self._energy_joules = device.energy_joules()
        except pynvml.NVMLError as err:
            self._reasons["energy_joules"] = device.explain(err)
        try:
            self._sample = device.gpm_sample()
        except pynvml.NVMLError as err:
            self._reasons |= self._without_gpm(err)

    def end(self) -> tuple[Mapping[str, float], Mapping[str, str]]:
        """Return the energy used and the GPM means since the span began."""
        values: dict[str, float] = {}
        reasons = dict(self._reasons)
        if self._energy_joules is not None:
            try:
                used_joules = self._device.energy_joules() - self._energy_joules
            except pynvml.NVMLError as err:
                reasons["energy_joules"] = self._device.explain(err)
            else:
                values["energy_joules"] = max(used_joules, 0.0)
        if self._sample is not None:
            try:
                percentages, unread = self._sample.percentages_until(
                    self._device.gpm_sample()
                )
            except pynvml.NVMLError as err:
                reasons |= self._without_gpm(err)
            else:
                values |= percentages
                reasons |= unread
        return values, reasons

    def _without_gpm(self, err: pynvml.NVMLError) -> dict[str, str]:
        if err.value in (
            pynvml.NVML_ERROR_NOT_SUPPORTED,
            pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        ):
            reason = "NVML GPM needs a Hopper or newer GPU and a driver that has it"
        else:
            reason = self._device.explain(err)
        return dict.fromkeys(_GPM_METRICS, reason)


def _read_total_memory(handle: object) -> tuple[int | None, str]:
    """Return the total device memory, or None and why the driver has no such number.

    A GPU that shares the host's memory (GB10, Jetson) gives no reading, or one of 0
    bytes; the largest number stands for "not available" (``NVML_VALUE_NOT_AVAILABLE``).
    """
    try:
        total = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError as err:
        if err.value in _UNUSABLE:
            raise
        unsupported = err.value == pynvml.NVML_ERROR_NOT_SUPPORTED
        return None, _NO_MEMORY if unsupported else _reason(err)
    return (total, "") if 0 < total < 2**63 else (None, _NO_MEMORY)


def _reason(err: pynvml.NVMLError) -> str:
    """Return what NVML says about ``err``, with the way out where there is one."""
    text = f"NVML: {err}"
    return f"{text}; {_WAY_OUT[err.value]}" if err.value in _WAY_OUT else text


def _listing(devices: Collection[NvmlDevice]) -> str:
    return (
        ", ".join(
            f"{one.selector} ({one.gpu_type.name}, {one.uuid})" for one in devices
        )
        or "none"
    )


def _process_name(pid: int) -> str:
    try:
        return str(pynvml.nvmlSystemGetProcessName(pid))
    except (pynvml.NVMLError, UnicodeDecodeError):
        return ""


def _list_devices() -> tuple[list[NvmlDevice], dict[str, str]]:
    """Return every GPU, each followed by its MIG devices, and what went wrong.

    A GPU that cannot be read (lost, or not ours) does not keep gpupack from measuring
    its neighbour; the second result says why, by GPU index.
    """
    devices: list[NvmlDevice] = []
    failures: dict[str, str] = {}
    for gpu_index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(gpu_index)
            device = NvmlDevice(handle, gpu_index=gpu_index)
        except pynvml.NVMLError as err:
            failures[str(gpu_index)] = _reason(err)
            continue
        devices.append(device)
        if device.mig_mode != "enabled":
            continue
        for mig_index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            # A GPU has room for more MIG devices than were made: NVML_ERROR_NOT_FOUND.
            with suppress(pynvml.NVMLError):
                part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, mig_index)
                devices.append(
                    NvmlDevice(part, gpu_index=gpu_index, mig_index=mig_index)
                )
    return devices, failures
