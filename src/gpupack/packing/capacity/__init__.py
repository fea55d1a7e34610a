"""Capacity planning over integers: jobs with options, onto several types of bins.

Each job wants service, or a number of whole copies. An option runs copies of one job
in one type of bin: it takes some room in full, some in proportion to the service it
gives. In: a ``CapacityProblem`` and a ``Goal``. Out: a ``CapacityPlan``: how many bins
of each *configuration* (how many copies of which option), and how the service is
shared out among them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
