"""The command line that asks the same as the page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gpupack.records.gpu import Headroom
from gpupack.records.record import Record
from gpupack.records.request import ModelWishes, Request, asked_of, plain_kind
from gpupack.spelling import flag_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic.fields import FieldInfo

_OTHERWISE = frozenset(
    {"kind", "schema_version", "objective", "models", "defaults", "gpus", "headroom"}
)
"""Fields that are told in ways of their own, or not at all."""
_PLAIN = tuple(
    name
    for name, field in Request.model_fields.items()
    if name not in _OTHERWISE and not isinstance(field.default, bool)
)
"""Fields with an option of one value."""
_SWITCHES = tuple(
    name
    for name, field in Request.model_fields.items()
    if isinstance(field.default, bool)
)
_FOR_ALL_OR_EACH = tuple(
    name
    for name in ModelWishes.model_fields
    if name not in {"demand", "weight", "one_load_point", "optional", "left_out"}
)
"""Wishes with an option of one value for all, or by model."""
_FOR_EACH = ("demand", "weight")
"""Wishes with an option by model alone."""
_ARGUMENTS = {"weight": "weights", "left_out": "without"}
REQUEST_FILE = "request.json"


class Field(Record):
    """A field of a request that one control asks.

    The page has labels and sliders of its own for those that it knows; one that is new
    gets a plain control.
    """

    name: str
    label: str
    flag: str
    kind: Literal["check", "number", "text"]
    is_whole: bool
    """Whether a number is a whole one."""


class Fields(Record):
    """The fields of a request: its own, and the wishes about one model."""

    settings: tuple[Field, ...]
    wishes: tuple[Field, ...]


def request_fields() -> Fields:
    """Return every field that an option of one value, or a switch, asks."""
    return Fields(
        settings=tuple(
            _field(name, Request.model_fields[name]) for name in (*_PLAIN, *_SWITCHES)
        ),
        wishes=tuple(
            _field(name, ModelWishes.model_fields[name]) for name in _FOR_ALL_OR_EACH
        ),
    )


def _field(name: str, field: FieldInfo) -> Field:
    kind = plain_kind(field.annotation)
    return Field(
        name=name,
        label=name.replace("_", " ").capitalize(),
        flag=flag_of(name),
        kind="check" if kind is bool else "text" if kind is str else "number",
        is_whole=kind is int,
    )


class Command(Record):
    """What to type for the same answer, and what that takes."""

    text: str
    needs_file: bool
    """Whether it reads the request from a file, since no option says all of it."""


@dataclass
class _Options:
    words: list[str] = field(default_factory=list)
    is_complete: bool = True

    def add(self, argument: str, value: object) -> None:
        self.words += [flag_of(argument), _text(value)]


def command_of(
    request: Request,
    model_names: Sequence[str],
    source: Sequence[str],
    *,
    beside: Request | None = None,
) -> Command:
    """Return ``gpupack place …`` that asks what a request asks.

    Args:
        request: What is asked.
        model_names: Every model of the profiles.
        source: Where the profiles are, and what was said about them: the words between
            ``gpupack place`` and the options.
        beside: What the table that the profiles are in asks, which holds where no
            option says otherwise.
    """
    before = ""
    if beside is not None and _takes_back(request, beside):
        # No option takes back what a table asks; its profiles alone ask nothing.
        words = ["gpupack", "read", *source, "--to", "profiles.jsonl"]
        before = f"{shlex.join(words)} && "
        source = ["profiles.jsonl"]
    options = _Options()
    if request.objective is not Request.model_fields["objective"].default:
        options.words += ["--objective", request.objective.value]
    _add_supply(options, request)
    _add_headroom(options, request)
    for name in _PLAIN:
        value = getattr(request, name)
        if value != Request.model_fields[name].default:
            options.add(name, value)
    options.words += [flag_of(name) for name in _SWITCHES if getattr(request, name)]
    _add_wishes(options, request, model_names)
    command = ["gpupack", "place", *source]
    if options.is_complete:
        command += options.words
    else:
        command += ["--request", REQUEST_FILE]
    return Command(
        text=before + shlex.join(command), needs_file=not options.is_complete
    )


def _takes_back(request: Request, beside: Request) -> bool:
    """Return whether a table asks something of a model that the request does not."""
    return any(
        getattr(request.of_model(name), wish) is None
        for name, wishes in beside.models.items()
        for wish, _ in asked_of(wishes)
    )


def _add_supply(options: _Options, request: Request) -> None:
    if request.gpus is None:
        return
    if isinstance(request.gpus, int):
        options.add("gpus", request.gpus)
        return
    for name, supply in request.gpus.items():
        # A type that nobody knows is named with its memory.
        named = name if supply.memory_mib is None else f"{name}:{supply.memory_mib:g}"
        count = "" if supply.count is None else f"={supply.count}"
        options.add("gpus", named + count)
        if "=" in name or not name or _is_number(name):
            options.is_complete = False
    for name, supply in request.gpus.items():
        for argument, value in (
            ("prices", supply.price),
            ("reserved_prices", supply.reserved_price),
            ("host_cpus_per_gpu", supply.host_cpus_per_gpu),
            ("host_memory_per_gpu", supply.host_memory_per_gpu),
        ):
            if value is not None:
                options.add(argument, f"{name}={_text(value)}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _add_headroom(options: _Options, request: Request) -> None:
    if isinstance(request.headroom, Headroom):
        for resource, share in request.headroom:
            options.add("headroom", f"{resource.value}={_text(share)}")
    elif request.headroom != Request.model_fields["headroom"].default:
        options.add("headroom", request.headroom)


def _add_wishes(
    options: _Options, request: Request, model_names: Sequence[str]
) -> None:
    asked = {name: request.of_model(name) for name in model_names}
    for wish in _FOR_ALL_OR_EACH:
        _add_for_all_or_each(options, wish, request.defaults, asked)
    for wish in _FOR_EACH:
        for name, wishes in asked.items():
            value = getattr(wishes, wish)
            if value is not None:
                options.add(_ARGUMENTS.get(wish, wish), f"{name}={_text(value)}")
    for wish in ("optional", "left_out"):
        for name, wishes in asked.items():
            if getattr(wishes, wish):
                options.add(_ARGUMENTS.get(wish, wish), name)
    at_one = [wishes.one_load_point for wishes in asked.values()]
    if any(at_one):
        options.words.append(flag_of("one_load_point"))
        options.is_complete = options.is_complete and all(at_one)


def _add_for_all_or_each(
    options: _Options,
    wish: str,
    defaults: ModelWishes,
    asked: Mapping[str, ModelWishes],
) -> None:
    overall = getattr(defaults, wish)
    if overall is not None:
        options.add(wish, overall)
    for name, wishes in asked.items():
        value = getattr(wishes, wish)
        if value is not None and value != overall:
            options.add(wish, f"{name}={_text(value)}")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)
