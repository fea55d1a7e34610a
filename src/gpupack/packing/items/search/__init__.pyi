from .allowed_sets import (
    items_apart,
    solve_allowed,
)
from .best_partition import (
    ALONE,
    BestPartition,
    maximize_value,
)
from .packing_solve import solve

__all__ = [
    "ALONE",
    "BestPartition",
    "items_apart",
    "maximize_value",
    "solve",
    "solve_allowed",
]
