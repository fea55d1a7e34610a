from .clocks import ClockReadings
from .device import (
    Device,
    DeviceReadings,
    Sampler,
)
from .discovery import (
    HOST,
    open_device,
)
from .host import (
    HostDevice,
    ProcessFamily,
)
from .nvml import has_driver
from .remote_device import RemoteDevice

__all__ = [
    "HOST",
    "ClockReadings",
    "Device",
    "DeviceReadings",
    "HostDevice",
    "ProcessFamily",
    "RemoteDevice",
    "Sampler",
    "has_driver",
    "open_device",
]
