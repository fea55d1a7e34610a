"""What callers give that no type checker has seen: taken, or told in our words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


def require_kind(
    argument: str, value: object, kind: type | tuple[type, ...], way_out: str
) -> None:
    """Check that an argument is of a class.

    Args:
        argument: Its name.
        value: What was given.
        kind: The class, or several.
        way_out: What to give.

    Raises:
        InvalidInputError: If it is not.
    """
    if not isinstance(value, kind):
        raise InvalidInputError(f"{argument} is {quoted(value)}; give {way_out}")


def several(argument: str, values: Iterable[T], example: str) -> list[T]:
    """Return the values of an argument that takes several.

    Raises:
        InvalidInputError: If it is text, by names, or nothing that holds values.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidInputError(
            f"{argument} is {quoted(values)}; give several, such as {example}"
        )
    return list(values)


def names(argument: str, given: str | Iterable[str]) -> list[str]:
    """Return names, of which one alone may be given as text.

    Raises:
        InvalidInputError: If one is no text.
    """
    found = [given] if isinstance(given, str) else several(argument, given, '["a"]')
    for name in found:
        require_kind(f"a name in {argument}", name, str, "text")
    return found


def by_name(argument: str, given: Mapping[str, T], example: str) -> dict[str, T]:
    """Return values by name.

    Raises:
        InvalidInputError: If it is no mapping, or a name is no text.
    """
    require_kind(argument, given, Mapping, f"a value by name, such as {example}")
    for name in given:
        require_kind(f"a name in {argument}", name, str, "text")
    return dict(given)


def takes_keywords(record: type, defaults: Mapping[str, object]) -> Callable[[F], F]:
    """Return what lets a function that takes ``**asked`` show its arguments by name.

    ``help()`` and completion then know them, and one that is misspelled is a
    TypeError. Functions that take the same have them from one record.

    Args:
        record: A ``TypedDict`` of the arguments.
        defaults: Those that are not None.
    """

    def spell_out(function: F) -> F:
        signature = inspect.signature(function)
        own = [
            one for one in signature.parameters.values() if one.kind != one.VAR_KEYWORD
        ]
        further = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name),
                annotation=annotation,
            )
            for name, annotation in record.__annotations__.items()
        ]
        spelled_out = signature.replace(parameters=[*own, *further])

        @wraps(function)
        def checked(*arguments: Any, **asked: Any) -> object:
            try:
                spelled_out.bind(*arguments, **asked)
            except TypeError as err:
                raise TypeError(f"{function.__name__}(): {err}") from None
            return function(*arguments, **asked)

        checked.__signature__ = spelled_out  # type: ignore[attr-defined]
        return cast("F", checked)

    return spell_out
