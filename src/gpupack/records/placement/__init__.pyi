from .gpu_placement import (
    Assignment,
    GpuPlacement,
    ResourceUse,
    SharedModel,
    assignment_field,
)
from .placed_gpus import EqualGpus, PlacedGpus
from .placement_record import (
    Objective,
    ObjectiveUnit,
    OneMoreGpu,
    PlacementRecord,
    PlacementStatus,
    SharingAlternative,
)

__all__ = [
    "Assignment",
    "EqualGpus",
    "GpuPlacement",
    "Objective",
    "ObjectiveUnit",
    "OneMoreGpu",
    "PlacedGpus",
    "PlacementRecord",
    "PlacementStatus",
    "ResourceUse",
    "SharedModel",
    "SharingAlternative",
    "assignment_field",
]
