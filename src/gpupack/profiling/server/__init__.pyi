from .model_state import ModelStatistics
from .server_url import (
    ServerUrl,
    TlsOptions,
)
from .signature import (
    ModelSignature,
    TensorSpec,
)
from .triton import (
    LOAD_TIMEOUT_S,
    UNLOAD_TIMEOUT_S,
    TritonServer,
)

__all__ = [
    "LOAD_TIMEOUT_S",
    "UNLOAD_TIMEOUT_S",
    "ModelSignature",
    "ModelStatistics",
    "ServerUrl",
    "TensorSpec",
    "TlsOptions",
    "TritonServer",
]
