"""What is packed, and what a packing is.

In: sizes and a capacity in integers. Out: problems, results and their independent
check, and the ``Ladder`` that keeps the best packing and bound of a search.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
