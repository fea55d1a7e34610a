"""The values that a request is made of: numbers, shares, load points, GPU counts.

Each type says in words what is allowed, so that an error can tell it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import (
    real_number,
    share_number,
    truth_value,
    whole_number,
)
from gpupack.quoting import quoted
from gpupack.records.gpu import HOST_SHARES, Fleet, GpuType, Headroom, Resource
from gpupack.records.profile import LoadPoint
from gpupack.spelling import in_words_of
from gpupack.units import mib_from_bytes

PERCENTILES = (50, 90, 95, 99)
"""Latency percentiles that records have."""
MAX_REPLICAS = 1_000_000
"""More replicas of one model are taken for a wrong unit."""
MAX_GPUS = 1_000_000_000
"""More GPUs than that are taken for a wrong unit."""
MAX_SEED = 2**31 - 1
COUNT_BRANCH = "<count>"
TYPES_BRANCH = "<types>"
"""The two forms of a supply, as pydantic's errors name them."""
MIN_PRICE = 1e-6
MAX_PRICE = 1e9
"""Prices per GPU and hour; they are counted in millionths."""


@dataclass(frozen=True, slots=True)
class Must:
    """What a field allows, as it stands behind "it must be" in an error."""

    words: str


def plain_kind(annotation: Any) -> type:
    """Return the kind of value that a field takes first: bool, int, float, or text."""
    for one in (annotation, *get_args(annotation)):
        if one in (bool, int, float):
            return one  # type: ignore[no-any-return]
        if one is not annotation and get_args(one):
            return plain_kind(one)
    return str


def fault(words: str, *, is_unknown_name: bool = False) -> PydanticCustomError:
    """Return the error that says what is wrong with a value.

    Args:
        words: What follows "FIELD is VALUE".
        is_unknown_name: Whether the value is a name that gpupack does not know.
    """
    kind = "unknown_name" if is_unknown_name else "wish"
    # The words are no template: braces in them stand for themselves.
    return PydanticCustomError(kind, "{words}", {"words": words})


_EXACT = 2**53
"""Whole numbers below this are floats as well."""


def _real(value: object) -> object:
    """Return any kind of number as Python's, and anything else as it is."""
    if type(value) is int and abs(value) < _EXACT:
        return value  # told as it was written if it cannot be
    number = real_number(value)
    return value if number is None else number


def _whole(value: object) -> object:
    """Return any kind of whole number as an int, and anything else as it is."""
    number = whole_number(value)
    return value if number is None else number


def _share(value: object) -> object:
    """Return "80%" as 0.8; anything else but a plain number as it is."""
    if isinstance(value, str):
        share = share_number(value)
        return value if share is None else share
    return _real(value)


PositiveNumber = Annotated[float, Field(strict=True, gt=0), BeforeValidator(_real)]
NumberFromZero = Annotated[float, Field(strict=True, ge=0), BeforeValidator(_real)]
Count = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_whole)]
NumGpus = Annotated[int, Field(strict=True, ge=1, le=MAX_GPUS), BeforeValidator(_whole)]
Replicas = Annotated[
    int, Field(strict=True, ge=1, le=MAX_REPLICAS), BeforeValidator(_whole)
]
Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED), BeforeValidator(_whole)]
KeptShare = Annotated[float, Field(strict=True, gt=0, le=1), BeforeValidator(_share)]
"""A share above 0 and at most 1, or such as "90%"."""
YesOrNo = Annotated[bool, Field(strict=True), BeforeValidator(truth_value)]


def _price(value: object) -> object:
    price = real_number(value)
    if price is None or not math.isfinite(price) or price <= 0:
        raise fault(
            "; it must be a finite number > 0, per GPU and hour. Give GPUs that cost "
            "nothing a small one, such as 0.01"
        )
    if not MIN_PRICE <= price <= MAX_PRICE:
        raise fault(
            f" per GPU and hour; from {MIN_PRICE:f} to {MAX_PRICE:,.0f} it is taken "
            "for one, beyond that for a wrong unit"
        )
    return price


Price = Annotated[float, Field(ge=MIN_PRICE, le=MAX_PRICE), BeforeValidator(_price)]


MAX_HOST_CPUS = 10_000
"""Cores per GPU; more than any host has."""
MIN_HOST_MEMORY = 2**20
MAX_HOST_MEMORY = 2**50
"""Bytes per GPU; beyond these the unit is taken to be wrong."""
_SHORT_UNIT = re.compile(r"(?i)(?<=[\d\s])([kmgtp]i?)$")
"""``64Gi``, as Kubernetes writes it, is ``64GiB``."""


def _host_cpus(value: object) -> object:
    cpus = real_number(_number_in(value))
    if cpus is None or not math.isfinite(cpus) or cpus <= 0:
        raise fault(
            "; it must be a number of cores > 0 that each GPU's models may use, such "
            "as 8; leave it out where the host's cores shall not bind"
        )
    if cpus > MAX_HOST_CPUS:
        raise fault(
            f" cores per GPU; more than {MAX_HOST_CPUS:,} are taken for a wrong unit. "
            "Give the host's cores, divided by its GPUs"
        )
    return cpus


def _number_in(value: object) -> object:
    """Return the number that a text consists of, anything else as it is."""
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    return value


def _host_memory(value: object) -> object:
    """Return bytes of a text with a unit, or of a number of bytes."""
    allowed = (
        "; it must be an amount of memory > 0 with its unit, such as 64GB (10^9 bytes) "
        "or 64GiB (2^30), that each GPU's models may hold of the host's"
    )
    if isinstance(value, bool) or not (
        isinstance(value, str) or real_number(value) is not None
    ):
        raise fault(allowed)
    given = _SHORT_UNIT.sub(r"\1B", value.strip()) if isinstance(value, str) else value
    try:
        num_bytes = int(_BYTE_SIZE.validate_python(given))
    except (ValidationError, OverflowError):
        raise fault(allowed) from None
    if num_bytes < MIN_HOST_MEMORY:
        raise fault(
            allowed
            if num_bytes <= 0
            else f", {num_bytes:,} bytes: too little for any model; give the unit, "
            "such as 64GB or 64GiB"
        )
    if num_bytes > MAX_HOST_MEMORY:
        raise fault(
            f", {num_bytes:,} bytes per GPU: more than {MAX_HOST_MEMORY:,} are taken "
            "for a wrong unit"
        )
    return num_bytes


_BYTE_SIZE: TypeAdapter[ByteSize] = TypeAdapter(ByteSize)
HostCpus = Annotated[float, BeforeValidator(_host_cpus)]
"""Cores of its host for each GPU's models."""
HostMemory = Annotated[int, BeforeValidator(_host_memory)]
"""Bytes of its host's memory for each GPU's models: ``64GB``, ``64GiB``."""


def _load_point(value: object) -> object:
    if isinstance(value, str):
        try:
            return LoadPoint.parse(value)
        except InvalidInputError:
            pass
    elif isinstance(value, LoadPoint | Mapping):
        return value
    raise fault("; it must be BATCHxCONCURRENCY with whole numbers ≥ 1, such as 2x4")


PinnedLoadPoint = Annotated[
    LoadPoint,
    BeforeValidator(_load_point),
    PlainSerializer(str, return_type=str, when_used="json"),
]
"""``"2x4"``: batch size × concurrency."""


def _headroom(value: object) -> object:
    """Return a share, or a headroom that says what binds.

    Raises:
        PydanticCustomError: Saying which share of what cannot be.
    """
    if isinstance(value, Headroom):
        shares = {resource.value: share for resource, share in value}
    elif isinstance(value, Mapping):
        # In JSON, and by keyword, what does not bind is null.
        given = {name: share for name, share in value.items() if share is not None}
        shares = {_resource(name): _finite(s, name) for name, s in given.items()}
    else:
        share = _finite(value)
        if share > 1:
            raise _too_much_memory(Resource.MEMORY, share)
        return share
    if not shares:
        raise fault("; it names no resource: nothing would bind")
    for resource in Resource:
        if resource.is_held and shares.get(resource.value, 0.0) > 1:
            raise _too_much_memory(resource, shares[resource.value])
    return Headroom(**shares)


def _resource(name: object) -> str:
    known = [resource.value for resource in Resource]
    if name not in known:
        raise fault(
            f"unknown resource {quoted(name)} in headroom; there are "
            f"{', '.join(known)}",
            is_unknown_name=True,
        )
    return str(name)


def _finite(value: object, name: object = None) -> float:
    share = _share(value)
    of_name = "" if name is None else f": the share of {name} is {quoted(share)}"
    number = real_number(share)
    if number is None:
        raise fault(
            f"{of_name}; the share that may be used is a number such as 0.8, or "
            'a text such as "80%"'
        )
    if not math.isfinite(number) or number <= 0:
        raise fault(
            f"{of_name}; the share that may be used must be finite and > 0 (0.8 is "
            "80 %)"
        )
    return number


def _too_much_memory(resource: Resource, share: float) -> PydanticCustomError:
    holder = "a host" if resource.is_of_host else "a GPU"
    meant = f"for {share:g} % give {share / 100:g}, or " if 2 <= share <= 100 else ""
    return fault(
        f"; its share of {resource.value} is {share:g}, that is {share:.0%}, but "
        f"{holder} cannot hold more than it has; {meant}name the resources that may "
        "exceed 1, such as "
        + in_words_of(
            python='{"memory": 1.0, "gpu_utilization": 1.1, "memory_utilization": 1.1}',
            shell="--headroom memory=1 --headroom gpu_utilization=1.1 --headroom "
            "memory_utilization=1.1",
        )
    )


HeadroomWish = Annotated[float | Headroom, BeforeValidator(_headroom)]
"""A share of whatever binds by default, or the share of each that shall bind."""


def supply_by_name(value: object) -> object:
    """Return every way of naming GPUs as a count, or as supplies by type name."""
    if isinstance(value, bool):
        raise fault("; it must be a GPU name or a count")
    value = _whole(value)
    if value is None or isinstance(value, int):
        return value
    pairs: list[tuple[Any, Any]]
    if isinstance(value, str | GpuType):
        pairs = [(value, None)]
    elif isinstance(value, Fleet):
        pairs = [
            (entry.gpu_type, {"count": entry.num_gpus, "price": entry.price_per_hour})
            for entry in value.entries
        ]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, tuple | list) and _is_pair(value):
        pairs = [(value[0], value[1])]
    elif isinstance(value, tuple | list):
        pairs = [pair for entry in value for pair in _listed(entry)]
    else:
        raise _unclear_gpus()
    if not pairs:
        raise fault("; it names no GPU type")
    named: dict[object, object] = {}
    for key, wanted in pairs:
        supply = wanted if isinstance(wanted, Mapping) else _counted(wanted)
        name: object = key
        if isinstance(key, GpuType):
            name = key.name
            if key.memory_bytes is not None:
                supply = {"memory_mib": mib_from_bytes(key.memory_bytes), **supply}
            supply = {
                share: amount
                for share in HOST_SHARES.values()
                if (amount := getattr(key, share)) is not None
            } | dict(supply)
        if not isinstance(name, Hashable):
            raise _unclear_gpus()
        if name in named:
            raise fault(f"; it names the GPU type {quoted(name)} twice")
        named[name] = supply
    return named


NAME_KEYS = ("name", "gpu_type", "gpu", "type")
"""What a listed entry may call its GPU type."""
_SUPPLY_KEYS = frozenset(
    ["count", "price", "reserved_price", "memory_mib", *HOST_SHARES.values()]
)
"""What else it may say."""


def _is_pair(value: Sequence[object]) -> bool:
    """Return whether this is (name, count), not a list of names or of entries."""
    return (
        len(value) == 2
        and isinstance(value[0], str | GpuType)
        and not isinstance(value[1], str | GpuType | list | tuple)
    )


def _listed(entry: object) -> list[tuple[Any, Any]]:
    """Return the types, and how many, that one entry of a list names."""
    if isinstance(entry, str | GpuType):
        return [(entry, None)]
    if isinstance(entry, tuple | list) and _is_pair(entry):
        return [(entry[0], entry[1])]
    if not isinstance(entry, Mapping):
        raise _unclear_gpus()
    keys = [key for key in NAME_KEYS if key in entry]
    if len(keys) > 1:
        raise fault(f"; an entry says both {keys[0]} and {keys[1]}")
    if keys:
        rest = {key: told for key, told in entry.items() if key != keys[0]}
        return [(entry[keys[0]], rest)]
    if entry.keys() & _SUPPLY_KEYS:
        raise fault("; an entry names its GPU type, as {name: T4, count: 4}")
    return list(entry.items())


def _unclear_gpus() -> PydanticCustomError:
    return fault(
        "; it must be a GPU name, a count, (name, count), counts by name, such as "
        '{"T4": 4}, or a list of such, as [{"name": "T4", "count": 4}]'
    )


def _counted(wanted: object) -> dict[str, object]:
    if hasattr(wanted, "model_dump"):
        return dict(wanted.model_dump(exclude_none=True))
    return {"count": wanted}


def supply_form(value: object) -> str:
    """Return which of its two forms a supply has."""
    return COUNT_BRANCH if isinstance(value, int) else TYPES_BRANCH
