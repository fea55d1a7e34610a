"""Where a configuration that is served is not the one that was planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpupack.deploying.plan.configuration import is_complete
from gpupack.quoting import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

_FILLED_IN = frozenset({"name"})
"""What the server sets where a configuration leaves it out."""
_NEVER_FILLED_IN = {
    "ModelConfig": (
        "max_batch_size",
        "metric_tags",
        "model_operations",
        "model_transaction_policy",
        "model_warmup",
        "parameters",
        "response_cache",
    ),
    "ModelDynamicBatching": (
        "default_priority_level",
        "default_queue_policy",
        "max_queue_delay_microseconds",
        "preserve_ordering",
        "priority_levels",
        "priority_queue_policy",
    ),
    "ModelInstanceGroup": (
        "host_policy",
        "passive",
        "profile",
        "rate_limiter",
        "secondary_devices",
    ),
}
"""What the server takes as it is written, so that it must be absent where it is not."""
_SCHEDULED_AS_WRITTEN = ("python", "ensemble")
"""Backends and platforms to which the server adds no dynamic batching of its own."""
_LATEST_VERSIONS = 1
"""What Triton serves where no version policy is written."""


def differences(planned: Message, served: Message) -> tuple[str, ...]:
    """Say where a served configuration is not as planned, field by field.

    What the plan leaves to the server may be what the server makes of it; what it never
    makes by itself must be absent.
    """
    found = list(_differences(planned, served, ""))
    wanted, given = (one.WhichOneof("scheduling_choice") for one in (planned, served))
    backend = planned.backend or planned.platform
    if wanted is None and given is not None and backend in _SCHEDULED_AS_WRITTEN:
        found.append(f"{given} is set, and was not planned")
    found += _version_differences(planned, served)
    found += _preferred_differences(planned, served)
    return tuple(found)


def _differences(planned: Message, served: Message, path: str) -> Iterator[str]:
    for field, wanted in planned.ListFields():
        if not path and field.name in _FILLED_IN:
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
    if kind != "ModelConfig" or is_complete(planned):
        for name in _NEVER_FILLED_IN.get(kind, ()):
            yield from _not_planned(planned, served, name, path)


def _not_planned(
    planned: Message, served: Message, name: str, path: str
) -> Iterator[str]:
    place = f"{path}.{name}" if path else name
    wanted, found = getattr(planned, name), getattr(served, name)
    field = planned.DESCRIPTOR.fields_by_name[name]
    if _is_map(field):
        for key in sorted(set(found) - set(wanted)):
            yield f"{place}[{printable(str(key))}] is set, and was not planned"
    elif isinstance(found, str | bytes | int | float):
        if found and not wanted:
            yield f"{place} is {_shown(field, found)}, not {_shown(field, wanted)}"
    elif _has_content(found) and not _has_content(wanted):
        yield f"{place} is set, and was not planned"


def _has_content(value: Any) -> bool:
    return bool(value.ListFields() if hasattr(value, "ListFields") else len(value))


def _version_differences(planned: Any, served: Any) -> Iterator[str]:
    """Compare what a missing policy means, where none was planned."""
    if planned.version_policy.WhichOneof("policy_choice") is not None:
        return
    choice = served.version_policy.WhichOneof("policy_choice")
    latest = served.version_policy.latest.num_versions or _LATEST_VERSIONS
    if choice not in (None, "latest") or latest != _LATEST_VERSIONS:
        yield f"version_policy is {choice}, not the latest version"


def _preferred_differences(planned: Any, served: Any) -> Iterator[str]:
    """Compare preferred batch sizes where none are planned: at most the server's own.

    Triton prefers the largest batch if nothing is said.
    """
    if planned.WhichOneof("scheduling_choice") != "dynamic_batching":
        return
    sizes = list(served.dynamic_batching.preferred_batch_size)
    if planned.dynamic_batching.preferred_batch_size or not sizes:
        return
    if sizes != [served.max_batch_size]:
        yield f"dynamic_batching.preferred_batch_size is {sizes}, and none was planned"


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
