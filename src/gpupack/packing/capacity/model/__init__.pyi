from .capacity_problem import (
    BinType,
    CapacityProblem,
    Counts,
    Goal,
    Job,
    Option,
    Overlap,
    Rule,
)
from .configurations import (
    MAX_ENUMERATED,
    Configuration,
    enumerate_configurations,
    fixed_room_left,
    taken_apart,
    useful_options,
)
from .faster_options import (
    raise_rates,
    with_faster_options,
)
from .knapsack import Knapsack
from .open_bins import (
    Content,
    OpenBins,
    copied,
)
from .plan import (
    CapacityPlan,
    Copies,
    FilledBin,
    PlanStatus,
)
from .plan_check import check_plan
from .reduction import reduced
from .shapes import shapes_of
from .sharing import share_out
from .volume import plan_volume_bound

__all__ = [
    "MAX_ENUMERATED",
    "BinType",
    "CapacityPlan",
    "CapacityProblem",
    "Configuration",
    "Content",
    "Copies",
    "Counts",
    "FilledBin",
    "Goal",
    "Job",
    "Knapsack",
    "OpenBins",
    "Option",
    "Overlap",
    "PlanStatus",
    "Rule",
    "check_plan",
    "copied",
    "enumerate_configurations",
    "fixed_room_left",
    "plan_volume_bound",
    "raise_rates",
    "reduced",
    "shapes_of",
    "share_out",
    "taken_apart",
    "useful_options",
    "with_faster_options",
]
