from .own_models import calibrate
from .reference_run import (
    DEFAULT_MINUTES,
    PRIOR_SETS,
    REFERENCE_FACTORS,
    QuickCalibration,
    calibration_of,
    quick_calibrate,
    reference_sets,
)

__all__ = [
    "DEFAULT_MINUTES",
    "PRIOR_SETS",
    "REFERENCE_FACTORS",
    "QuickCalibration",
    "calibrate",
    "calibration_of",
    "quick_calibrate",
    "reference_sets",
]
