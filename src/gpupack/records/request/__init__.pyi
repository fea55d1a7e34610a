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

__all__ = [
    "ForModels",
    "GpuSupply",
    "GpusLike",
    "HeadroomLike",
    "LoadPointLike",
    "ModelWishes",
    "Request",
    "RequestArguments",
    "asked_of",
]
