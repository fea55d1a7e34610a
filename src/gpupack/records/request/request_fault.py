"""What is wrong with a request, in the words of a file or of Python's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, InvalidInputError, UnknownNameError
from gpupack.quoting import listed, quoted
from gpupack.records.request.wish_types import COUNT_BRANCH, TYPES_BRANCH, Must

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    Words = Callable[[tuple[str, ...]], str]
    """Returns what a place in a request is called."""


def as_path(path: tuple[str, ...]) -> str:
    """Return a place in a request as it stands in a file: ``models.resnet.demand``."""
    return ".".join(listed([part]) for part in path) or "the request"


def fault_in_words(
    err: ValidationError, classes: Sequence[type[BaseModel]], words: Words
) -> GpupackError:
    """Return the error that tells the faults: where, what, and what is allowed.

    It is of the first one's class.

    Args:
        err: What pydantic found.
        classes: The request's own first, then those of its parts.
        words: How a place in the request is called.
    """
    faults = err.errors(include_url=False)
    first = _one_in_words(faults[0], classes, words)
    told = dict.fromkeys(
        str(_one_in_words(fault, classes, words)) for fault in faults[:_MOST_TOLD]
    )
    more = len(faults) - _MOST_TOLD
    return type(first)(
        ". Also: ".join(told) + (f" (and {more:,} more)" if more > 0 else "")
    )


_MOST_TOLD = 5
"""Faults that one error tells."""


def _one_in_words(
    fault: ErrorDetails, classes: Sequence[type[BaseModel]], words: Words
) -> GpupackError:
    path = tuple(str(part) for part in fault["loc"] if part not in _BRANCHES)
    where = words(tuple(part for part in path if part != _KEY))
    kind = fault["type"]
    if kind == "unknown_name":
        return UnknownNameError(fault["msg"])
    if kind in {"enum", "literal_error"} and path[-1] != "schema_version":
        known = fault.get("ctx", {}).get("expected", "")
        known = known.replace("'", "").replace(" or ", ", ")
        return UnknownNameError(
            f"unknown {where} {_value(fault['input'])}; there are {known}"
        )
    if kind == "extra_forbidden":
        return UnknownNameError(_unknown_field(path, classes, where))
    return InvalidInputError(
        f"{where} is {_value(fault['input'])}{_allowed(fault, path, classes)}"
    )


def _value(given: object) -> str:
    """Return a value as messages show it; a field of YAML without one is None."""
    return "None, left empty" if given is None else quoted(given)


_BRANCHES = frozenset({COUNT_BRANCH, TYPES_BRANCH})
"""What pydantic puts into a path to say which type of several it tried."""
_KEY = "[key]"
"""What it puts there to say that a name is at fault, not a value."""


def _allowed(
    fault: ErrorDetails, path: tuple[str, ...], classes: Sequence[type[BaseModel]]
) -> str:
    if fault["type"] == "wish":
        return fault["msg"]
    if path[-1:] == (_KEY,):
        return "; a name must be text: put it in quotes"
    for record in classes:
        field = record.model_fields.get(path[-1]) if path else None
        for one in field.metadata if field else ():
            if isinstance(one, Must):
                return f"; it must be {one.words}"
    if fault["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        if path == ("models",):
            return "; it must be models by name, as {resnet: {demand: 20}}"
        of_models = path[:1] in {("models",), ("defaults",)}
        example = ", as {demand: 20}" if of_models else ""
        return f"; it must be fields and their values{example}"
    return f"; {fault['msg']}"


def _unknown_field(
    path: tuple[str, ...], classes: Sequence[type[BaseModel]], where: str
) -> str:
    request, of_model, of_gpus = classes
    *above, name = path
    here = request
    if above[:1] in (["models"], ["defaults"]):
        here = of_model
    elif above[:1] == ["gpus"]:
        here = of_gpus
    known = [one for one in here.model_fields if one not in {"kind", "schema_version"}]
    hint = ""
    if here is request and name in of_model.model_fields:
        hint = f"; {name} is asked of a model: models.NAME.{name}, or defaults.{name}"
    return f"unknown field {where}{hint}; there are {', '.join(known)}"
