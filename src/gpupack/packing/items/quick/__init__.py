"""Bounds and packings that take milliseconds and no compiled code.

In: a problem. Out: volume, dual-feasible and clique bounds, first-fit and best-fit
packings, an exact search of small problems, and packings with evener bins.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
