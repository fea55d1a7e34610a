"""What was decided: which model instance runs on which GPU, and what that yields."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
