"""Bounds: linear relaxations over configurations, by column generation.

In: a ``CapacityProblem`` and a ``Goal``. Out: a ``Relaxation`` with prices and bound,
and bounds on numbers of bins.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
