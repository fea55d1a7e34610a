"""Items of several dimensions into as few equal bins as possible.

In: a ``PackingProblem``, and a rule of what may share a bin where there is one. Out:
a checked ``PackingResult`` with its bound, what found it and what proved it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
