"""Does what runs equal the plan? Servers and a cluster's objects, compared.

In: what ``deploy()`` wrote, the servers' URLs, what ``kubectl get -o json`` printed.
Out: a ``Status`` with every difference in words. Asks, and changes nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
