"""One load point, measured until its figures can be trusted, as a record.

In: a driven model and a device, and when to stop (``MeasureOptions``). Out: a
``Measurement`` and from it a ``ProfileRecord``; a point that never settles is a record
too, marked as such.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
