"""What to buy: ``recommend()``.

In: profiles and a request. Out: one recommendation, every number of which is the answer
of ``place()`` to a request that it holds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
