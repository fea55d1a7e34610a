"""Translate: records and a request into packing problems, and back, offline.

In: a ``ProfileSet`` and a ``Request``. Out: a ``Placement`` (``place``), a ``Frontier``
(``frontier``) or an ``Explanation`` (``explain``), each checked against the records.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
