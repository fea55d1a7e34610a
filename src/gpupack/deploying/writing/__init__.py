"""Folders of generated files: written whole or not at all, over nobody else's.

In: ``GeneratedFiles``. Out: the same on disk, with ``deployment.json`` that says which
files are gpupack's; ``read_deployment`` reads it back.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
