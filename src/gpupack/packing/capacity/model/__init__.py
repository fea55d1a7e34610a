"""What is planned, and what a plan is.

In: jobs, options and types of bins in integers. Out: problems without what no best
plan needs, configurations of bins, traffic shared out, and checked plans.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
