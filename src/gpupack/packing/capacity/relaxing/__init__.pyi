from .bin_counts import (
    SAFETY,
    BinCounts,
    most_bins,
)
from .bin_patterns import (
    Pattern,
    made_to_fit,
)
from .goals import (
    MEASURES,
    all_idle,
    counted,
    everything,
    measured_value,
    rounded_bound,
    rounded_up,
)
from .measures import Measure, most_service
from .plan_master import (
    Duals,
    Guide,
    UnsolvedError,
)
from .pricing_model import keep_within
from .program import (
    CapacityProgram,
    ProgramResult,
)
from .relaxation import (
    CLOSE_ENOUGH,
    Relaxation,
    Relaxer,
)

__all__ = [
    "CLOSE_ENOUGH",
    "MEASURES",
    "SAFETY",
    "BinCounts",
    "CapacityProgram",
    "Duals",
    "Guide",
    "Measure",
    "Pattern",
    "ProgramResult",
    "Relaxation",
    "Relaxer",
    "UnsolvedError",
    "all_idle",
    "counted",
    "everything",
    "keep_within",
    "made_to_fit",
    "measured_value",
    "most_bins",
    "most_service",
    "rounded_bound",
    "rounded_up",
]
