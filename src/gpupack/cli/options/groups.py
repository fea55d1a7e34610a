"""Options that several commands take, read into one argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

Command = Callable[..., None]


def takes_options(
    reader: Callable[..., object],
    *,
    into: str,
    without: Collection[str] = (),
    more: Callable[[Collection[inspect.Parameter]], list[inspect.Parameter]] | None = (
        None
    ),
) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options a function reads.

    Args:
        reader: Its keyword parameters are typer options; it returns what they mean
            together. One that the command has itself, such as ``source``, is handed to
            both.
        into: The command's parameter that gets what ``reader`` returns. In ``--help``
            the options stand in its place.
        without: Parameters of ``reader`` that the command has no option for; they are
            left at their defaults.
        more: Returns further options, beside those that it is given; ``reader`` takes
            any keyword then.
    """

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters
        read = dict(inspect.signature(reader, eval_str=True).parameters)
        if more is not None:
            keywords = [
                name for name, one in read.items() if one.kind is one.VAR_KEYWORD
            ]
            for name in keywords:
                del read[name]
            read |= {one.name: one for one in more(read.values())}
        options = {
            name: one for name, one in read.items() if name not in {*own, *without}
        }
        parameters: list[inspect.Parameter] = []
        for name, parameter in own.items():
            parameters += options.values() if name == into else [parameter]

        @wraps(command)
        def run(**given: Any) -> None:
            told = {
                name: given.pop(name) if name in options else given[name]
                for name in read
                if name in options or name in given
            }
            command(**given, **{into: reader(**told)})

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
