"""Model configurations: Triton's ``ModelConfig``, as text, JSON and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gpupack.errors import InvalidInputError
from gpupack.profiling import not_installed
from gpupack.quoting import printable, shortened

try:
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2
except ImportError as err:
    raise not_installed(err) from err

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

MARK = "# Written by gpupack deploy"
"""Begins every configuration of gpupack's; a file without it is the user's."""

ModelConfig = model_config_pb2.ModelConfig
KIND_AUTO, KIND_GPU, KIND_CPU, KIND_MODEL = (
    model_config_pb2.ModelInstanceGroup.Kind.Value(name)
    for name in ("KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL")
)
_GIVEN_BY_PLACE = frozenset({"name"})
"""What the server fills in where a configuration leaves it out."""
_ALSO_AS_DEFAULT = {
    "ModelConfig": ("max_batch_size",),
    "ModelDynamicBatching": ("max_queue_delay_microseconds", "preserve_ordering"),
}
"""Numbers that the server takes as they are, also where the text leaves out a 0."""
_SCHEDULED_AS_WRITTEN = ("python", "ensemble")
"""Backends and platforms to which the server adds no dynamic batching of its own."""


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
    """Return the ``ModelConfig`` in a server's answer; unknown fields are left out."""
    return json_format.ParseDict(
        dict(answer), ModelConfig(), ignore_unknown_fields=True
    )


def configuration_text(config: Any, *, about: str) -> str:
    """Return a configuration as a file of gpupack's, the same for the same content."""
    body = text_format.MessageToString(config, as_utf8=True)
    return f"{MARK}: {printable(about)}\n{body}"


def is_own(text: str) -> bool:
    """Whether a configuration file is one that gpupack wrote."""
    return text.startswith(MARK)


def differences(planned: Message, served: Message) -> tuple[str, ...]:
    """Say where a served configuration is not as planned, field by field.

    What the plan leaves to the server may be anything.
    """
    found = list(_differences(planned, served, ""))
    wanted, given = (one.WhichOneof("scheduling_choice") for one in (planned, served))
    backend = planned.backend or planned.platform
    if wanted is None and given is not None and backend in _SCHEDULED_AS_WRITTEN:
        found.append(f"{given} is set, and was not planned")
    return tuple(found)


def is_complete(config: Any) -> bool:
    """Whether a configuration leaves inputs, outputs and backend to nobody."""
    named = config.backend or config.platform
    return bool(config.input and config.output and named)


def _differences(planned: Message, served: Message, path: str) -> Iterator[str]:
    for field, wanted in planned.ListFields():
        if not path and field.name in _GIVEN_BY_PLACE:
            continue
        place = f"{path}.{field.name}" if path else field.name
        found = getattr(served, field.name)
        if _is_map(field):
            yield from _map_differences(field, wanted, found, place)
        elif isinstance(found, str | bytes | int | float):
            if wanted != found:
                yield f"{place} is {_shown(field, found)}, not {_shown(field, wanted)}"
        elif hasattr(found, "ListFields"):
            if field.containing_oneof is not None and not served.HasField(field.name):
                yield f"{place} is not set"
            else:
                yield from _differences(wanted, found, place)
        elif len(wanted) != len(found):
            yield f"{place} has {len(found)} entries, not {len(wanted)}"
        elif len(wanted) and hasattr(wanted[0], "ListFields"):
            for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
                yield from _differences(one, other, f"{place}[{index}]")
        elif list(wanted) != list(found):
            yield f"{place} is {list(found)}, not {list(wanted)}"
    kind = planned.DESCRIPTOR.name
    if kind == "ModelConfig" and not is_complete(planned):
        return
    for name in _ALSO_AS_DEFAULT.get(kind, ()):
        wanted, found = getattr(planned, name), getattr(served, name)
        if not wanted and found:
            yield f"{path}.{name}".lstrip(".") + f" is {found}, not {wanted}"


def _map_differences(
    field: FieldDescriptor, wanted: Any, found: Any, place: str
) -> Iterator[str]:
    for key in sorted(wanted):
        name = f"{place}[{printable(str(key))}]"
        if key not in found:
            yield f"{name} is missing"
        elif hasattr(wanted[key], "ListFields"):
            yield from _differences(wanted[key], found[key], name)
        elif wanted[key] != found[key]:
            yield f"{name} is not as planned"


def _is_map(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and kind.GetOptions().map_entry


def _shown(field: FieldDescriptor, value: object) -> str:
    """Return a value as the configuration writes it: an enumeration by its name."""
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    return shortened(printable(str(value)), 100)
