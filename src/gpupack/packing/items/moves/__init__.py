"""Local search: single copies move among bins until one bin is saved.

In: a problem and a packing. Out: packings with fewer bins, from guided ejection and
simulated annealing in turns, here or in a thread beside other work.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
