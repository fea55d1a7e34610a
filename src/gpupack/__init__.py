"""Pack inference models onto GPUs: measure them, place them, prove it.

Public names load on first use, so that ``import gpupack`` is fast and needs no
GPU, server or solver. ``__init__.pyi`` beside this file is their one list.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.2.0"
