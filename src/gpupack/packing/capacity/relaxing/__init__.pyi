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
from .plan_master import (
    Guide,
    UnsolvedError,
)
from .program import (
    CapacityProgram,
    Measure,
    ProgramResult,
    most_service,
)
from .relaxation import (
    CLOSE_ENOUGH,
    Relaxation,
    Relaxer,
)
from .whole_numbers import is_impossible

__all__ = [
    "CLOSE_ENOUGH",
    "MEASURES",
    "SAFETY",
    "BinCounts",
    "CapacityProgram",
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
    "is_impossible",
    "made_to_fit",
    "measured_value",
    "most_bins",
    "most_service",
    "rounded_bound",
    "rounded_up",
]
