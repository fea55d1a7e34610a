"""What binds, what proves it, and which single changes would help.

In: a placement's question. Out: sentences with numbers, and changes that were asked
again.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
