"""A model's configuration as Triton reads it, and for a variant of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpupack.errors import InvalidInputError, StoreError
from gpupack.files import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpupack.records.profile import ModelVariant

PROVIDER, PRECISION = "provider", "precision"
"""Parameters of the configurations that are generated for model files."""
GPU_PROVIDERS = ("cuda", "tensorrt", "rocm", "migraphx")


def can_set_up(variant: ModelVariant) -> bool:
    """Whether gpupack made the variant, so that ``config_of_variant`` is all of it.

    What other tools call a variant may say less than it is.
    """
    counts = variant.num_cpu_instances, variant.num_gpu_instances
    return variant.execution_provider is not None or any(
        variant.name == name_of_instances(count) for count in counts if count
    )


def name_of_instances(count: int) -> str:
    """Return the name of the variant with so many copies of the model."""
    return f"{count}_instances"


def config_of_variant(
    config: Mapping[str, Any], variant: ModelVariant
) -> dict[str, Any]:
    """Return a configuration with the variant's instances, provider and precision.

    Raises:
        InvalidInputError: The model has no instances of its own, or takes no provider.
    """
    changed = dict(config)
    name = config.get("name")
    groups = [dict(one) for one in config.get("instance_group") or [{}]]
    if variant.execution_provider is not None:
        parameters = dict(config.get("parameters") or {})
        if PROVIDER not in parameters:
            raise InvalidInputError(
                f"model {name} was not made of a model file, so that no execution "
                "provider can be chosen for it"
            )
        parameters[PROVIDER] = {"string_value": variant.execution_provider}
        if variant.precision is not None:
            parameters[PRECISION] = {"string_value": variant.precision}
        changed["parameters"] = parameters
        on_gpu = variant.execution_provider in GPU_PROVIDERS
        groups = [{"count": 1, "kind": "KIND_GPU" if on_gpu else "KIND_CPU"}]
    wanted = variant.num_gpu_instances or variant.num_cpu_instances
    if wanted is not None:
        if "ensemble_scheduling" in config:
            raise InvalidInputError(
                f"model {name} is an ensemble, which has no instances of its own: "
                "profile its steps with --instances, and the ensemble without"
            )
        groups = [groups[0] | {"count": wanted}]
    changed["instance_group"] = groups
    return changed


def config_in(folder: Path) -> dict[str, Any] | None:
    """Return the configuration in a model's folder, as JSON holds it.

    Returns:
        An empty one where there is none, which Triton completes; None where it cannot
        be read: then Triton says why, when it loads the model.
    """
    # Only now: with gRPC they take a fifth of a second to import.
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2

    file = folder / "config.pbtxt"
    try:
        text = read_text(file) if file.exists() else ""
        message = text_format.Parse(text, model_config_pb2.ModelConfig())
    except (StoreError, text_format.ParseError):
        return None
    found: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True
    )
    return found


def config_text(config: Mapping[str, Any]) -> str:
    """Return a configuration, as JSON holds it, as the text of ``config.pbtxt``."""
    # Only now: with gRPC they take a fifth of a second to import.
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2

    message = json_format.ParseDict(dict(config), model_config_pb2.ModelConfig())
    return str(text_format.MessageToString(message))
