"""Kubernetes objects of a plan: pods that hold one GPU and all servers on it.

In: a plan and its ``Names``. Out: ConfigMaps, Deployments, Services and routes, as
plain dictionaries; every name is a DNS label, whatever models are called.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
