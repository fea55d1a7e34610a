"""Why nothing fits: an irreducible infeasible subset of models and limits.

In: a question without an answer. Out: the error that names who clashes, over which
resource, by how much, and the smallest change that would help.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
