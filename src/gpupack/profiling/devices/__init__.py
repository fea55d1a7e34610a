"""GPUs, and the host where there is none, as things that are read beside a load.

In: the name of a device (``open_device``). Out: a ``Device``, whose ``Sampler`` gives
``DeviceReadings`` of a stretch of time; a reading that cannot be had is None with its
reason. Only ``devices.nvml`` imports ``pynvml``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
