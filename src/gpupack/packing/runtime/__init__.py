"""Clocks, stopping, and whether the compiled searches are there.

In: a time limit. Out: deadlines that can be handed down, calls of solvers that end at
one or at Ctrl-C, and the state of the kernels.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
