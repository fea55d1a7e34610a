from .calibration import (
    MeasuredSet,
    fit_contention_factor,
    fit_retention_margin,
    mean_absolute_error,
    measured_sets,
)
from .delays import PROCESSOR_SHARING
from .latency_prediction import LatencyLimits
from .latency_simulation import SIMULATED_REQUESTS
from .prediction import (
    DEFAULT_CONTENTION_FACTORS,
    HOST_CONTENTION_FACTOR,
    LAWS,
    SHARING_SHAPES,
    has_all_readings,
    predict_retentions,
)
from .retention import (
    COMPARED,
    MAX_PREDICTED_KINDS,
    RetentionRule,
    SharedGpu,
    alternatives_of,
    retentions_of,
)
from .sharing import Contention, resolve_contention, resolve_sharing

__all__ = [
    "COMPARED",
    "DEFAULT_CONTENTION_FACTORS",
    "HOST_CONTENTION_FACTOR",
    "LAWS",
    "MAX_PREDICTED_KINDS",
    "PROCESSOR_SHARING",
    "SHARING_SHAPES",
    "SIMULATED_REQUESTS",
    "Contention",
    "LatencyLimits",
    "MeasuredSet",
    "RetentionRule",
    "SharedGpu",
    "alternatives_of",
    "fit_contention_factor",
    "fit_retention_margin",
    "has_all_readings",
    "mean_absolute_error",
    "measured_sets",
    "predict_retentions",
    "resolve_contention",
    "resolve_sharing",
    "retentions_of",
]
