"""Measure models on a running Triton, or on one that is started here.

In: a server or a model repository, what to load (``profile``, ``MeasureOptions``,
``InputOptions``). Out: a ``ProfileSet``, each load point written to disk when it is
known. The parts (devices, servers, loads) also serve ``gpupack.verify``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
