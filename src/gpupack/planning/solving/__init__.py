"""A question into a checked ``Placement``.

In: a ``CapacityQuestion``. Out: a ``Placement``, of the fewest GPUs where there is
nothing to choose, of the best plan where there is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
