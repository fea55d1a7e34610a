from .between_loads import spread_between_loads
from .interval import t_quantile
from .kept_schedule import count_schedule
from .measure_options import MeasureOptions
from .measurement import (
    MeasuredLoad,
    Measurement,
    measure,
    measure_driven,
    measure_together,
)
from .percentiles import percentiles_with_intervals
from .probing import KernelProbe
from .recording import (
    Circumstances,
    failed_load_point,
    profile_record,
    server_baseline,
)
from .settling import (
    SettledMemory,
    wait_until_settled,
)
from .stability import BlockRule, requests_for_percentile

__all__ = [
    "BlockRule",
    "Circumstances",
    "KernelProbe",
    "MeasureOptions",
    "MeasuredLoad",
    "Measurement",
    "SettledMemory",
    "count_schedule",
    "failed_load_point",
    "measure",
    "measure_driven",
    "measure_together",
    "percentiles_with_intervals",
    "profile_record",
    "requests_for_percentile",
    "server_baseline",
    "spread_between_loads",
    "t_quantile",
    "wait_until_settled",
]
