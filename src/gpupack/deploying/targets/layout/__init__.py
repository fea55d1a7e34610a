"""Where servers find what they serve: an overlay of the repository, and their programs.

In: a plan. Out: configurations and links for ``GeneratedFiles``, the program that
starts a GPU's servers, routers, and the servers as ``deployment.json`` keeps them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
