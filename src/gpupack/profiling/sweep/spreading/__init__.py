"""A sweep over several GPUs of this host, each with a server and clients of its own.

In: the work order that one GPU would have, the GPUs, the store. Out: every record in
the store, which this process alone writes; a warning where GPUs disturb each other.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
