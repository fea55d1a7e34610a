from .objective import Billing, ContentionRule, Fairness, Objective
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
from .wish_types import MAX_REPLICAS, PERCENTILES

__all__ = [
    "MAX_REPLICAS",
    "PERCENTILES",
    "Billing",
    "ContentionRule",
    "Fairness",
    "ForModels",
    "GpuSupply",
    "GpusLike",
    "HeadroomLike",
    "LoadPointLike",
    "ModelWishes",
    "Objective",
    "Request",
    "RequestArguments",
    "as_path",
    "asked_of",
]
