from .gpu_team import sweep_over_gpus
from .work_order import WorkOrder

__all__ = [
    "WorkOrder",
    "sweep_over_gpus",
]
