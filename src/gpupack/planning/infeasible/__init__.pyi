from .clash import (
    infeasible,
    not_found,
)
from .shortage import shortage

__all__ = [
    "infeasible",
    "not_found",
    "shortage",
]
