"""Which device a measurement watches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.devices.nvml import has_driver, open_gpu

if TYPE_CHECKING:
    from gpupack.profiling.devices.device import Device

HOST = "host"
"""What to ask for to measure the host although it has a GPU."""


def open_device(
    gpu: int | str | None = None, *, server_pid: int | None = None
) -> Device:
    """Return the GPU to watch, or the host where there is no NVIDIA driver.

    Args:
        gpu: An index, ``"GPU:MIG"`` indices, the first letters of a UUID, or
            ``"host"``. None takes the first of ``CUDA_VISIBLE_DEVICES`` (as an index,
            in the driver's order), GPU 0 where that is not set, and the host where
            there is no driver or that variable hides every GPU.
        server_pid: The process whose tree is watched when the host is the device.

    Raises:
        UnknownNameError: If there is no such GPU; names those there are.
        DeviceError: If a GPU was asked for and there is no driver, or the driver
            cannot be used.
    """
    if gpu is None:
        if not has_driver():
            return HostDevice(server_pid)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        # CUDA stops at the first entry that is no device.
        return HostDevice(server_pid) if visible in ("", "-1") else open_gpu(visible)
    if str(gpu).strip() == HOST:
        return HostDevice(server_pid)
    return open_gpu(str(gpu))
