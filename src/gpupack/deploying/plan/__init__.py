"""What shall run: servers, their models and configurations, from a placement.

In: a placement, ``DeployOptions`` and the user's model repository. Out: a
``DeploymentPlan`` that says for each GPU which servers run on it and with which
configuration of each model, and in words what was changed; it knows no target.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
