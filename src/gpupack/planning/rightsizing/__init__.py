"""From what runs in a cluster to how many GPUs would do.

In: an ``ObservedCluster`` and, where there are some, profiles. Out: a ``Rightsizing``:
GPUs needed at the measured demand, GPUs to give back, and what is not known.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
