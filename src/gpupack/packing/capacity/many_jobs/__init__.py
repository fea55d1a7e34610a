"""Plans for many jobs: prices of room for a bound, bins filled one by one against it.

In: a ``CapacityProblem`` whose demands must be met in full. Out: bins, and what no plan
costs less than. Takes time in proportion to the number of jobs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
