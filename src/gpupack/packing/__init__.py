"""Decide: exact packing over integers, without I/O and without GPU words.

In: a ``PackingProblem`` (one kind of bin) or a ``CapacityProblem`` (jobs with options,
several types of bins, counts and prices). Out: a ``PackingResult`` or a
``CapacityPlan``, checked, with a proven bound. Alone imports OR-Tools.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
