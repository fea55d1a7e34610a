"""Options of wishes that have none of their own, made from what a request says of them.

A wish that is new to ``Request`` has a flag at once, with the words of its ``Must`` as
help. One that wants better words, a metavar or completion gets an option of its own in
``asked``.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpupack.cli.options.named_values import parse_for_models
from gpupack.records.request import (
    ModelWishes,
    Must,
    Request,
    RequestArguments,
    plain_kind,
)
from gpupack.spelling import flag_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def further_options(own: Collection[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return an option for every wish that none of a command's own is for.

    Numbers about models are given for all of them, or as ``MODEL=VALUE``, repeated; all
    else once. None is what was not given.

    Args:
        own: The options that the command has.
    """
    flags = {flag for one in own for flag in _flags(one)}
    return [
        _option(argument, *found)
        for argument in RequestArguments.__annotations__
        if flag_of(argument) not in flags and (found := _field(argument)) is not None
    ]


def read_further(
    given: Mapping[str, object], model_names: Sequence[str]
) -> dict[str, object]:
    """Return what further options ask, by argument, without what was not given.

    Raises:
        InvalidInputError: If a number about models is none, or is given twice.
    """
    return {
        argument: parse_for_models(
            flag_of(argument), value, "2 or resnet=2", model_names
        )
        if isinstance(value, list)
        else value
        for argument, value in given.items()
        if value is not None and value != []
    }


def _flags(option: inspect.Parameter) -> list[str]:
    """Return the flags of an option: those it names, or one of its name."""
    said = [
        flag
        for info in getattr(option.annotation, "__metadata__", ())
        # Inside Annotated typer takes the first flag where a default would stand.
        for decl in (info.default, *(info.param_decls or ()))
        if isinstance(decl, str)
        for flag in decl.split("/")
        if flag.startswith("--")
    ]
    return said or ["--" + option.name.replace("_", "-")]


def _field(argument: str) -> tuple[FieldInfo, bool] | None:
    """Return the field that an argument is for, and whether it is about models."""
    if argument in Request.model_fields:
        return Request.model_fields[argument], False
    if argument in ModelWishes.model_fields:
        return ModelWishes.model_fields[argument], True
    return None


def _option(argument: str, field: FieldInfo, is_of_models: bool) -> inspect.Parameter:
    kind: Any = plain_kind(field.annotation)
    words = [argument.replace("_", " ").capitalize()]
    words += [one.words for one in field.metadata if isinstance(one, Must)]
    told = ": ".join(words)
    if is_of_models and kind in (int, float):
        kind = list[str]
        told += "; or MODEL=VALUE, repeated"
    option = typer.Option(flag_of(argument), help=f"{told}.")
    return inspect.Parameter(
        argument,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )
