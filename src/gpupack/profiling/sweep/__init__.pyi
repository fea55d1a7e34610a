from .run import profile
from .sweep_store import RETRIED_STAGES

__all__ = [
    "RETRIED_STAGES",
    "profile",
]
