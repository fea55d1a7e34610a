from .capacity_ladder import plan_capacity
from .existence import has_plan, is_ruled_out
from .fewer_copies import with_fewer_copies
from .improving import AssignmentModel
from .model import (
    BinType,
    CapacityPlan,
    CapacityProblem,
    FilledBin,
    Goal,
    Job,
    Option,
    Overlap,
    PlanStatus,
    Rule,
    useful_options,
)
from .overload import (
    are_there,
    bins_apart,
    fits_apart,
    fits_together,
    is_overloaded,
    least_needs,
)
from .relaxing import (
    most_bins,
    most_service,
)

__all__ = [
    "AssignmentModel",
    "BinType",
    "CapacityPlan",
    "CapacityProblem",
    "FilledBin",
    "Goal",
    "Job",
    "Option",
    "Overlap",
    "PlanStatus",
    "Rule",
    "are_there",
    "bins_apart",
    "fits_apart",
    "fits_together",
    "has_plan",
    "is_overloaded",
    "is_ruled_out",
    "least_needs",
    "most_bins",
    "most_service",
    "plan_capacity",
    "useful_options",
    "with_fewer_copies",
]
