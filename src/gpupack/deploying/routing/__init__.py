"""How clients should split their traffic: the plan's shares, for routers and as JSON.

In: a ``DeploymentPlan``. Out: weights by model and GPU, and the same as configuration
of NGINX, Envoy or the Gateway API.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
