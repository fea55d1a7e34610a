from .arguments import (
    overlay_requests,
    request_of,
    takes_wishes,
)
from .contradictions import (
    left_out_of,
    require_measured,
    require_profiles,
    require_sense,
    require_traffic_of_limits,
)
from .estimates import estimated_types, measured_types, with_estimates
from .fleet import (
    require_prices,
    resolve_fleet,
    unpriced,
)
from .latency import (
    keeps_latency_limit,
    within_latency_limits,
)
from .named_gpu_type import (
    is_unknown,
    with_named_type,
)
from .places import named_setting, named_wish, told_where
from .prices import (
    BUDGET_TOLERANCE,
    PRICE_UNITS,
    price_units,
    within_budget,
)
from .source import ProfilesLike, profiles_of, told_with, wishes_beside
from .wishes import (
    BINDING_BY_DEFAULT,
    Wishes,
    allowed_records,
    overlay_headroom,
    resolve_headroom,
    wishes_of,
    with_host,
)

__all__ = [
    "BINDING_BY_DEFAULT",
    "BUDGET_TOLERANCE",
    "PRICE_UNITS",
    "ProfilesLike",
    "Wishes",
    "allowed_records",
    "estimated_types",
    "is_unknown",
    "keeps_latency_limit",
    "left_out_of",
    "measured_types",
    "named_setting",
    "named_wish",
    "overlay_headroom",
    "overlay_requests",
    "price_units",
    "profiles_of",
    "request_of",
    "require_measured",
    "require_prices",
    "require_profiles",
    "require_sense",
    "require_traffic_of_limits",
    "resolve_fleet",
    "resolve_headroom",
    "takes_wishes",
    "told_where",
    "told_with",
    "unpriced",
    "wishes_beside",
    "wishes_of",
    "with_estimates",
    "with_host",
    "with_named_type",
    "within_budget",
    "within_latency_limits",
]
