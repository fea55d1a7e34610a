"""From a placement to what runs it, and whether that runs.

In: a placement, a model repository and the name of a target. Out: a ``Deployment``, a
folder of files that gpupack starts nothing with, and ``check_status()``, which compares
servers and clusters with it. Promises: equal input gives equal bytes, files are
written whole or not at all, and what a target cannot express is refused or said.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
