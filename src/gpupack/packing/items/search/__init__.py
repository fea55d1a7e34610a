"""The ladder of methods, each closing what it can.

In: a ``PackingProblem``, a time limit, a rule of who may share a bin. Out: a
``PackingResult``, or with values of bins the ``BestPartition``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
