"""Column generation on patterns, and the searches that follow it.

In: a ``Ladder``. Out: better packings and bounds on it, from pricing, diving, branching
and programs over patterns (Gilmore and Gomory), beside local search.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
