from .arrivals import POISSON, ArrivalProcess, Arrivals
from .objective import Billing, ContentionRule, Fairness, LatencyRule, Objective
from .request import (
    ForModels,
    GpusLike,
    GpuSupply,
    HeadroomLike,
    LoadPointLike,
    ModelWishes,
    Request,
    RequestArguments,
    asked_of,
)
from .request_fault import as_path
from .wish_types import MAX_REPLICAS, PERCENTILES, Must, plain_kind

__all__ = [
    "MAX_REPLICAS",
    "PERCENTILES",
    "POISSON",
    "ArrivalProcess",
    "Arrivals",
    "Billing",
    "ContentionRule",
    "Fairness",
    "ForModels",
    "GpuSupply",
    "GpusLike",
    "HeadroomLike",
    "LatencyRule",
    "LoadPointLike",
    "ModelWishes",
    "Must",
    "Objective",
    "Request",
    "RequestArguments",
    "as_path",
    "asked_of",
    "plain_kind",
]
