"""Model configurations: Triton's ``ModelConfig``, as text, JSON and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpupack.errors import InvalidInputError, ServerError
from gpupack.profiling import not_installed
from gpupack.quoting import printable, shortened

try:
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2
except ImportError as err:
    raise not_installed(err) from err

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "# Written by gpupack deploy"
"""Begins every configuration of gpupack's; a file without it is the user's."""

ModelConfig = model_config_pb2.ModelConfig
KIND_AUTO, KIND_GPU, KIND_CPU, KIND_MODEL = (
    model_config_pb2.ModelInstanceGroup.Kind.Value(name)
    for name in ("KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL")
)


def parse_configuration(text: str, where: str) -> Any:
    """Return the ``ModelConfig`` that a ``config.pbtxt`` holds.

    Raises:
        InvalidInputError: If it is none; says ``where`` and on which line.
    """
    try:
        return text_format.Parse(text, ModelConfig())
    except text_format.ParseError as err:
        raise InvalidInputError(
            f"{printable(where)} is no model configuration: "
            f"{printable(shortened(str(err), 300))}; mend it, or where the field is "
            "new, install a newer tritonclient"
        ) from err


def configuration_of_server(answer: Mapping[str, Any]) -> Any:
    """Return the ``ModelConfig`` in a server's answer; unknown fields are left out.

    Raises:
        ServerError: If it is none, as Triton's answers always are.
    """
    try:
        return json_format.ParseDict(
            dict(answer), ModelConfig(), ignore_unknown_fields=True
        )
    except (json_format.ParseError, TypeError, ValueError) as err:
        reason = printable(shortened(" ".join(str(err).split()), 200))
        raise ServerError(
            f"the server's answer is no model configuration, so it is no Triton's: "
            f"{reason}"
        ) from err


def configuration_text(config: Any, *, about: str) -> str:
    """Return a configuration as a file of gpupack's, the same for the same content."""
    body = text_format.MessageToString(config, as_utf8=True)
    return f"{MARK}: {printable(about)}\n{body}"


def is_own(text: str) -> bool:
    """Whether a configuration file is one that gpupack wrote."""
    return text.startswith(MARK)


def is_complete(config: Any) -> bool:
    """Whether a configuration leaves inputs, outputs and backend to nobody."""
    named = config.backend or config.platform
    return bool(config.input and config.output and named)
