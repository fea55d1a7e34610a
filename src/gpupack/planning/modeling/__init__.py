"""Records into integers.

In: profiles and a request. Out: a ``CapacityQuestion``, all of it resolved and checked,
and its ``Translation`` into a problem of the packing engine.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
