"""A real Triton server that gpupack installs and starts itself.

In: a model repository, and the Python that its models run in. Out: an
``EmbeddedServer`` with its URL, alone or above an ``MpsDaemon``. It ends with the
process that started it, also when that one is killed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
