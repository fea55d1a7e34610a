from .calibration import (
    MeasuredSet,
    fit_contention_factor,
    fit_retention_margin,
    measured_sets,
)
from .delays import PROCESSOR_SHARING
from .prediction import (
    SHARING_SHAPES,
    has_readings,
    predict_retentions,
)
from .retention import (
    Contention,
    RetentionRule,
    resolve_contention,
    resolve_sharing,
    retentions_or_none,
)
from .sharing import (
    COMPARED,
    SharedGpu,
    alternatives_of,
    sharing_alternatives,
    sharing_notes,
)

__all__ = [
    "COMPARED",
    "PROCESSOR_SHARING",
    "SHARING_SHAPES",
    "Contention",
    "MeasuredSet",
    "RetentionRule",
    "SharedGpu",
    "alternatives_of",
    "fit_contention_factor",
    "fit_retention_margin",
    "has_readings",
    "measured_sets",
    "predict_retentions",
    "resolve_contention",
    "resolve_sharing",
    "retentions_or_none",
    "sharing_alternatives",
    "sharing_notes",
]
