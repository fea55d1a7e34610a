from .run import profile
from .sweep_store import RETRIED_STAGES, SERVER_STAGE

__all__ = [
    "RETRIED_STAGES",
    "SERVER_STAGE",
    "profile",
]
