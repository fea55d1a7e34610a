"""A server and a device for as long as something is measured on them.

In: the URL of a running server, or what to start one with (``ServerOptions``). Out: a
``ServerSession`` with one model loaded at a time, which starts its own server anew
when it died.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
