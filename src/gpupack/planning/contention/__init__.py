"""What sharing a GPU costs: predicted from readings of models alone.

In: records, and how GPUs are shared. Out: the share of its throughput that each model
keeps (mean value analysis of a closed queueing network), as a rule for packing, too.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
