from .clash import (
    infeasible,
    not_found,
)
from .too_few_gpus import shortage

__all__ = [
    "infeasible",
    "not_found",
    "shortage",
]
