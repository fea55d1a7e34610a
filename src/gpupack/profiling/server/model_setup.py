"""How a model is loaded: as its repository says, or as one of its variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpupack.profiling.server.model_config import name_of_instances
from gpupack.records.profile import ModelVariant

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ModelSetup:
    """How a model is loaded for one variant of its load points.

    Attributes:
        variant: None loads it as its repository says.
        config: Its whole configuration without the variant, where that is known; the
            server is asked for it otherwise, which takes one more load.
    """

    variant: ModelVariant | None = None
    config: Mapping[str, Any] | None = None


def variant_of_instances(num_instances: int, *, on_gpu: bool) -> ModelVariant:
    """Return the variant of a model with so many copies on the GPU, or on the host."""
    field_name = "num_gpu_instances" if on_gpu else "num_cpu_instances"
    return ModelVariant(
        name=name_of_instances(num_instances), **{field_name: num_instances}
    )
