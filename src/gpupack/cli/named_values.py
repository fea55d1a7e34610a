"""Options of the form NAME=VALUE, repeated, and plain values that hold for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def parse_named(
    option: str,
    texts: Sequence[str] | None,
    example: str,
    *,
    number: Callable[[str], float] = float,
) -> tuple[float | None, dict[str, float]]:
    """Return the value for all, None if there is none, and the values by name.

    A name may itself contain ``=``; the value is what follows the last one.

    Raises:
        InvalidInputError: If a value is no number, or is given twice.
    """
    overall: float | None = None
    named: dict[str, float] = {}
    for text in texts or ():
        name, equals, value_text = text.rpartition("=")
        try:
            value = number(value_text)
        except ValueError as err:
            kind = "whole number" if number is int else "number"
            raise InvalidInputError(
                f"{option} {quoted(text)}: {quoted(value_text)} is no {kind}; give "
                f"{example}"
            ) from err
        if (equals and name in named) or (not equals and overall is not None):
            raise InvalidInputError(f"{option} {quoted(text)}: given twice")
        if equals:
            named[name] = value
        else:
            overall = value
    return overall, named


def parse_by_model(
    option: str, texts: Sequence[str] | None, example: str
) -> dict[str, float] | None:
    """Return values by model name, None if there are none.

    Raises:
        InvalidInputError: If a value has no name, is no number or is given twice.
    """
    overall, named = parse_named(option, texts, example)
    if overall is not None:
        raise InvalidInputError(f"{option} {overall:g} names no model; give {example}")
    return named or None


def parse_for_models(
    option: str,
    texts: Sequence[str] | None,
    example: str,
    model_names: Sequence[str],
) -> dict[str, float] | None:
    """Return values by model name; a plain value holds for the models not named.

    Raises:
        InvalidInputError: If a value is no number or is given twice.
    """
    overall, named = parse_named(option, texts, example)
    if overall is None:
        return named or None
    return dict.fromkeys(model_names, overall) | named


def parse_counts(
    option: str,
    texts: Sequence[str] | None,
    example: str,
    model_names: Sequence[str],
) -> dict[str, int] | None:
    """Return whole numbers by model name; a plain one holds for models not named.

    Raises:
        InvalidInputError: If a value is no whole number or is given twice.
    """
    overall, named = parse_named(option, texts, example, number=int)
    values = dict.fromkeys(model_names, overall) if overall is not None else {}
    return {name: int(value or 0) for name, value in (values | named).items()} or None
