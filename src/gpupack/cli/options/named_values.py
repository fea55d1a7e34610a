"""Options of the form NAME=VALUE, repeated, and plain values that hold for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import currency_in
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
            is_price = option in ("--price", "--reserved-price")
            currency = currency_in(value_text) if is_price else None
            told = f", and once for all --currency {currency}" if currency else ""
            raise InvalidInputError(
                f"{option} {quoted(text)}: {quoted(value_text)} is no {kind}; give "
                f"{example}{told}"
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
    *,
    number: Callable[[str], float] = float,
) -> float | dict[str, float] | None:
    """Return a plain value, or values by model name, None if there are none.

    A plain value beside named ones holds for the models not named.

    Raises:
        InvalidInputError: If a value is no number or is given twice.
    """
    overall, named = parse_named(option, texts, example, number=number)
    if overall is None or not named:
        return named or overall
    return dict.fromkeys(model_names, overall) | named


def parse_by_type(
    option: str, texts: Sequence[str] | None, example: str
) -> str | dict[str, str] | None:
    """Return a text for GPUs of every type, or texts by type; None if there are none.

    Raises:
        InvalidInputError: If one is given twice, or one for all beside one by name.
    """
    named: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.rpartition("=")
        if name in named or (named and ("" in named or not equals)):
            raise InvalidInputError(
                f"{option} {quoted(text)}: given twice; give {example}"
            )
        named[name if equals else ""] = value
    return named.get("", named or None)


def parse_counts(
    option: str,
    texts: Sequence[str] | None,
    example: str,
    model_names: Sequence[str],
) -> int | dict[str, int] | None:
    """Return a plain whole number, or some by model name, None if there are none.

    A plain one beside named ones holds for the models not named.

    Raises:
        InvalidInputError: If a value is no whole number or is given twice.
    """
    found = parse_for_models(option, texts, example, model_names, number=int)
    if isinstance(found, dict):
        return {name: int(value) for name, value in found.items()}
    return None if found is None else int(found)


def parse_plain_share(option: str, text: str | None) -> float | str | None:
    """Return a number, a share in percent as it stands, or None if there is none.

    Raises:
        InvalidInputError: If it is neither.
    """
    if text is None:
        return None
    try:
        share = parse_share(text)
    except ValueError as err:
        raise InvalidInputError(
            f"{option} {quoted(text)}: neither a number nor percent; give 0.2 or 20%"
        ) from err
    return text.strip() if text.strip().endswith("%") else share


def parse_share(text: str) -> float:
    """Return a share: 0.8, or 80 % as "80%".

    Raises:
        ValueError: If it is neither.
    """
    percent = text.strip().removesuffix("%")
    return float(f"{percent.strip()}e-2") if percent != text.strip() else float(text)
