from .kernel_probe import KernelProbe
from .measure_options import MeasureOptions
from .measurement import (
    MeasuredLoad,
    Measurement,
    measure,
    measure_together,
)
from .percentiles import percentiles_with_intervals
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

__all__ = [
    "Circumstances",
    "KernelProbe",
    "MeasureOptions",
    "MeasuredLoad",
    "Measurement",
    "SettledMemory",
    "failed_load_point",
    "measure",
    "measure_together",
    "percentiles_with_intervals",
    "profile_record",
    "server_baseline",
    "wait_until_settled",
]
