"""Every model alone, at every load point, nothing lost.

In: what ``gpupack.profile`` takes. Out: a ``ProfileSet``, of what was measured now and
of what the store held already; the article's tables where they are asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
