from .calibrating import (
    DEFAULT_MINUTES,
    PRIOR_SETS,
    QuickCalibration,
    calibrate,
    quick_calibrate,
)
from .placement_run import Verification, verify
from .round_options import DEFAULT_PRECISION

__all__ = [
    "DEFAULT_MINUTES",
    "DEFAULT_PRECISION",
    "PRIOR_SETS",
    "QuickCalibration",
    "Verification",
    "calibrate",
    "quick_calibrate",
    "verify",
]
