"""A running Triton server, as its model control and statistics show it.

In: a URL, with ``TlsOptions``. Out: a ``TritonServer`` that loads, unloads and
describes models (``ModelSignature``); its failures in words. Only this package and
the requests of ``load`` import ``tritonclient``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
