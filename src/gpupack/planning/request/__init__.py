"""What was asked, resolved: names, numbers, GPU types.

In: a ``Request``, or the arguments of ``place()``. Out: wishes by model, the fleet with
its prices, what binds, and the records that may be used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
