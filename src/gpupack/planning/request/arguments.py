"""From keyword arguments, and a request beside them, to one request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from gpupack.arguments import by_name, names, require_kind, takes_keywords
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.planning.request.fleet import measured_type
from gpupack.planning.request.places import ARGUMENT_BY_WISH, WISH_BY_ARGUMENT
from gpupack.planning.request.wishes import growth_doubts, headroom_doubts
from gpupack.quoting import listed, quoted, quoted_all
from gpupack.records.gpu import UNKNOWN_GPU_TYPE
from gpupack.records.request import (
    GpuSupply,
    ModelWishes,
    Request,
    RequestArguments,
    as_path,
    asked_of,
)
from gpupack.spelling import setting

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet
    from gpupack.records.request import Objective


takes_wishes = takes_keywords(
    RequestArguments,
    {
        name: Request.model_fields[name].default
        for name in RequestArguments.__annotations__
        if name in Request.model_fields
    },
)
"""Let a function that takes ``**asked`` show the wishes by name, and insist on them."""


def request_of(
    profiles: ProfileSet,
    objective: Objective | str | Request | None,
    request: Request | None,
    asked: RequestArguments,
    *,
    beside: Request | None = None,
) -> tuple[Request, tuple[str, ...]]:
    """Return what is asked in all, and where arguments took the place of a request's.

    Args:
        profiles: To plan for; they say which models and GPUs there are.
        objective: The objective, or a request in its place.
        request: To start from; None for one that asks nothing.
        asked: Arguments, which win.
        beside: What the table of the profiles asks; all else wins over it.

    Raises:
        UnknownNameError: If an argument names a model without a profile.
        InvalidInputError: If a value cannot be used, or two requests are given.
    """
    if request is not None:
        require_kind("request", request, Request, "a gpupack.Request")
    if isinstance(objective, Request):
        if request is not None:
            raise InvalidInputError("two requests are given; give one")
        objective, request = None, objective
    data: dict[str, Any] = {} if objective is None else {"objective": objective}
    models: dict[str, dict[str, object]] = {}
    defaults: dict[str, object] = {}
    for argument, value in asked.items():
        if value is None or argument in _FIELDS_BY_TYPE:
            continue
        wish = WISH_BY_ARGUMENT.get(argument)
        if wish is None:
            data[argument] = value
            continue
        if argument in ("optional", "without"):
            value = dict.fromkeys(names(argument, cast("str", value)), True)
        if isinstance(value, Mapping):
            named = by_name(argument, value, '{"resnet": ...}')
            _require_known(argument, named, profiles)
            for name, one in named.items():
                models.setdefault(name, {})[wish] = one
        else:
            defaults[wish] = value
    data |= {"models": models} if models else {}
    data |= {"defaults": defaults} if defaults else {}
    given = Request.model_validate(data, context={"words": _as_argument})
    notes: list[str] = []
    if beside is not None:
        request, told = overlay_requests(beside, request)
        notes += told
    found = given if request is None else _overlaid(request, given, notes)
    for argument in _FIELDS_BY_TYPE:
        by_type = asked.get(argument)
        if by_type is not None:
            found = _with_by_type(found, argument, by_type, profiles, notes)
    notes += headroom_doubts(found) + growth_doubts(found)
    return found, tuple(notes)


def overlay_requests(
    table: Request, request: Request | None
) -> tuple[Request, tuple[str, ...]]:
    """Return what a table asks with a request over it, and where that says otherwise.

    Args:
        table: From the columns of a table.
        request: It wins; None for none.
    """
    if request is None:
        return table, ()
    notes: list[str] = []
    return _overlaid(table, request, notes), tuple(
        note.replace(" of the request, ", " of the table, ", 1) for note in notes
    )


def _as_argument(path: tuple[str, ...]) -> str:
    """Return what a place in a request is called among arguments."""
    match path:
        case ("models", name, wish, *_):
            return f"{setting(ARGUMENT_BY_WISH.get(wish, wish))} of {quoted(name)}"
        case ("defaults", wish, *_):
            return setting(ARGUMENT_BY_WISH.get(wish, wish))
        case ("gpus", name, "count"):
            return f"the number of {listed([name])} GPUs"
        case ("gpus", name, "price"):
            return f"the price of {listed([name])}"
        case (argument,) if argument in RequestArguments.__annotations__:
            return setting(argument)
        case ("gpus", name, field) if field in _FIELDS_BY_TYPE:
            return f"{setting(field)} of {listed([name])}"
        case ("gpus", name, "reserved_price"):
            return f"the reserved price of {listed([name])}"
    return as_path(path)


def _require_known(
    argument: str, named: Mapping[str, object], profiles: ProfileSet
) -> None:
    known = profiles.model_names
    unknown = sorted(set(named) - set(known), key=repr)
    if unknown:
        raise UnknownNameError(
            f"{setting(argument)} names {quoted_all(unknown)}, which has no profile; "
            f"there are {quoted_all(known)}"
        )


def _overlaid(request: Request, given: Request, notes: list[str]) -> Request:
    """Return a request with what was given in place of what it says.

    Args:
        request: What is asked so far.
        given: What was asked besides; it wins.
        notes: Takes a line for everything that was said otherwise.
    """
    _require_one_currency(request, given)
    update: dict[str, object] = {}
    for name in given.model_fields_set - {"models", "defaults", "gpus"}:
        update[name] = getattr(given, name)
        if name in request.model_fields_set:
            _note(name, getattr(request, name), update[name], notes)
    if given.gpus is not None:
        update["gpus"] = _merged_supply(request.gpus, given.gpus, notes)
    models = dict(request.models)
    for wish, value in asked_of(given.defaults):
        _note(f"defaults.{wish}", getattr(request.defaults, wish), value, notes)
        for name, wishes in models.items():
            # What is asked of all is asked of those, too, that were asked otherwise.
            _note(f"models.{name}.{wish}", getattr(wishes, wish), value, notes)
            models[name] = wishes.model_copy(update={wish: None})
    update["defaults"] = request.defaults.model_copy(
        update=dict(asked_of(given.defaults))
    )
    for name, wishes in given.models.items():
        now = models.get(name, ModelWishes())
        if name in request.models:
            for wish, value in asked_of(wishes):
                _note(f"models.{name}.{wish}", getattr(now, wish), value, notes)
        models[name] = now.model_copy(update=dict(asked_of(wishes)))
    update["models"] = models
    return request.model_copy(update=update).said(_places(request, given))


def _places(request: Request, given: Request) -> dict[tuple[str, ...], str]:
    """Return where what is asked in all was said: what gave way was not."""
    gone: set[tuple[str, ...]] = {(name,) for name in given.model_fields_set}
    gone |= {("defaults", wish) for wish, _ in asked_of(given.defaults)}
    for_all = {wish for wish, _ in asked_of(given.defaults)}
    for name, wishes in given.models.items():
        gone |= {("models", name, wish) for wish, _ in asked_of(wishes)}
    kept = {
        path: place
        for path, place in request.said_at.items()
        if path not in gone and not (path[0] == "models" and path[-1] in for_all)
    }
    return kept | dict(given.said_at)


def _require_one_currency(request: Request, given: Request) -> None:
    """Check that prices of a request are not told in a currency given beside it.

    Raises:
        InvalidInputError: If they would be; gpupack converts none.
    """
    old, new = request.currency, given.currency
    if old is None or new is None or old.casefold() == new.casefold():
        return
    if isinstance(request.gpus, dict) and any(
        one.price is not None or one.reserved_price is not None
        for one in request.gpus.values()
    ):
        raise InvalidInputError(
            f"currencies are mixed: the prices of the request are in {quoted(old)}, "
            f"and {setting('currency')} says {quoted(new)}; gpupack converts none, so "
            "give all prices in one"
        )


def _note(path: str, old: object, new: object, notes: list[str]) -> None:
    if old is not None and old != new:
        notes.append(
            f"{path} of the request, {quoted(_told(old))}, gives way to what was given "
            f"beside it: {quoted(_told(new))}"
        )


def _told(value: object) -> object:
    """Return a value as a file would say it."""
    if isinstance(value, dict):
        return {name: _told(one) for name, one in value.items()}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    return str(value) if isinstance(value, str) else value


def _merged_supply(
    old: int | dict[str, GpuSupply] | None,
    new: int | dict[str, GpuSupply],
    notes: list[str],
) -> int | dict[str, GpuSupply]:
    """Return the new supply, with the prices and the memory that the old one knew."""
    if isinstance(old, dict) and isinstance(new, int) and len(old) == 1:
        new = {name: GpuSupply(count=new) for name in old}
    if isinstance(old, dict) and isinstance(new, dict):
        spelled = {_folded(name): name for name in old}
        merged = {}
        for name, supply in new.items():
            known = spelled.get(_folded(name), name)
            before = old.get(known, GpuSupply())
            merged[known] = before.model_copy(update=dict(_known(supply)))
        new = merged
    _note("gpus", old, new, notes)
    return new


def _folded(name: str) -> str:
    """Return the name of a GPU type without case, and without the memory after it."""
    return re.sub(r":[^:]*$", "", name).strip().casefold()


def _known(supply: GpuSupply) -> list[tuple[str, object]]:
    """Return what a supply says; its count in any case."""
    return [
        (name, value) for name, value in supply if name == "count" or value is not None
    ]


def _with_by_type(
    request: Request,
    argument: str,
    given: object,
    profiles: ProfileSet,
    notes: list[str],
) -> Request:
    """Return the request with amounts per GPU by the name of the type, or for all.

    Raises:
        UnknownNameError: If one is of a type that is not in the supply.
        InvalidInputError: If a value cannot be used.
    """
    field, what, example = _FIELDS_BY_TYPE[argument]
    gpus = request.gpus
    supplies = (
        dict(gpus)
        if isinstance(gpus, dict)
        else {measured_type(profiles).name: GpuSupply(count=gpus)}
    )
    is_price = argument in ("prices", "reserved_prices")
    if not is_price and not isinstance(given, Mapping):
        given = dict.fromkeys(supplies, given)
    # Of names that are alike the first.
    spelled = {_folded(one): one for one in reversed(supplies)}
    for name, value in by_name(
        argument, cast("Mapping[str, object]", given), example
    ).items():
        known = spelled.get(_folded(name))
        if known is None:
            if UNKNOWN_GPU_TYPE.name in supplies:
                raise UnknownNameError(
                    f"{what} is given for {quoted(name)}, but the profiles do not say "
                    "which GPU type they were measured on; say which to plan for, as "
                    f"{setting('gpus', name)}"
                )
            raise UnknownNameError(
                f"{what} is given for {quoted(name)}, which is not among the GPUs: "
                f"{', '.join(supplies)}"
            )
        supply = {known: supplies[known].model_dump() | {field: value}}
        found = Request.model_validate(
            {"gpus": supply}, context={"words": _as_argument}
        ).gpus
        if isinstance(found, dict):
            old, new = getattr(supplies[known], field), getattr(found[known], field)
            _note(f"gpus.{known}.{field}", old, new, notes)
            supplies |= found
    return request.model_copy(update={"gpus": supplies})


_FIELDS_BY_TYPE = {
    "prices": ("price", "a price", '{"L4": 0.71}'),
    "reserved_prices": ("reserved_price", "a reserved price", '{"L4": 0.45}'),
    "host_cpus_per_gpu": ("host_cpus_per_gpu", "a number of cores", '{"L4": 8}'),
    "host_memory_per_gpu": ("host_memory_per_gpu", "memory", '{"L4": "64GB"}'),
}
"""Arguments about GPU types: field of the supply, what it is, and an example."""
