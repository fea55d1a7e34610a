"""One sweep over several machines: load points go to workers, records to one store.

In: what ``profile`` takes, and the address of a Ray cluster. Out: a ``ProfileSet``, of
every GPU type that the cluster has; all of it was written by this process alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
