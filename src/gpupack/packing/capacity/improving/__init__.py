"""Plans: construction, diving, and large neighborhood search.

In: a problem, and a relaxation's prices where there are some. Out: bins that serve
more, or cost less, than those before.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
