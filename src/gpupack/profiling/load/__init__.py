"""Requests in flight: what is sent to a model, and by whom.

In: a model's signature, a load point, where inputs come from (``InputOptions``). Out:
a ``DrivenModel``, whose client process (``LoadProcess``) keeps so many requests in
flight, or sends them when they are due, and reports when each was answered.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
