from .contention import (
    DEFAULT_CONTENTION_FACTORS,
    HOST_CONTENTION_FACTOR,
    LAWS,
    PROCESSOR_SHARING,
    SHARING_SHAPES,
    MeasuredSet,
    fit_contention_factor,
    fit_retention_margin,
    mean_absolute_error,
    measured_sets,
)
from .frontier_search import frontier
from .modeling import (
    Readiness,
    assumed,
    readiness,
)
from .placing import place
from .reasons import explain
from .recommending import recommend
from .request import (
    ProfilesLike,
    overlay_headroom,
    overlay_requests,
    profiles_of,
    wishes_beside,
)
from .rightsizing import Rightsizing, rightsize

__all__ = [
    "DEFAULT_CONTENTION_FACTORS",
    "HOST_CONTENTION_FACTOR",
    "LAWS",
    "PROCESSOR_SHARING",
    "SHARING_SHAPES",
    "MeasuredSet",
    "ProfilesLike",
    "Readiness",
    "Rightsizing",
    "assumed",
    "explain",
    "fit_contention_factor",
    "fit_retention_margin",
    "frontier",
    "mean_absolute_error",
    "measured_sets",
    "overlay_headroom",
    "overlay_requests",
    "place",
    "profiles_of",
    "readiness",
    "recommend",
    "rightsize",
    "wishes_beside",
]
