"""What the page is told: answers, clashes, sources, and command lines, as data.

In: records (``Placement``, ``InfeasibleError``, ``Reading``, ``Request``). Out: views,
each a record that becomes JSON, with every number as it is to be read.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
