from .model_config import (
    GPU_PROVIDERS,
    PRECISION,
    PROVIDER,
    can_set_up,
    config_in,
    config_of_variant,
    config_text,
)
from .model_setup import (
    ModelSetup,
    variant_of_instances,
)
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
    "GPU_PROVIDERS",
    "LOAD_TIMEOUT_S",
    "PRECISION",
    "PROVIDER",
    "UNLOAD_TIMEOUT_S",
    "ModelSetup",
    "ModelSignature",
    "ModelStatistics",
    "ServerUrl",
    "TensorSpec",
    "TlsOptions",
    "TritonServer",
    "can_set_up",
    "config_in",
    "config_of_variant",
    "config_text",
    "variant_of_instances",
]
