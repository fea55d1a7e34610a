"""What a plan can be written for: Triton alone, compose, Kubernetes, Helm and DRA.

In: a ``DeploymentPlan``. Out: a target's files, and what it could not express, in
words. A target is one module with one class that satisfies ``Target``; ``TARGETS``
lists them, and each says in one table which abilities it has.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
