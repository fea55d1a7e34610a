"""Act: run a placement on real hardware; does it hold, and what does sharing cost?

In: a placement, what serves its models, how well to measure (``verify``); or what was
measured side by side (``calibrate``, ``quick_calibrate``). Out: verdicts on every GPU,
as they come and in a file; or a ``Calibration``, which ``place()`` plans with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
