"""What somebody asked, called as they wrote it: by argument, flag, file or column."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted
from gpupack.records.request import ModelWishes, as_path
from gpupack.spelling import flag_of, in_words_of, setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpupack.records.request import Request

ARGUMENT_BY_WISH = {"weight": "weights", "left_out": "without"}
"""What a wish about models is called as an argument, where it is called otherwise."""
WISH_BY_ARGUMENT = {
    ARGUMENT_BY_WISH.get(wish, wish): wish for wish in ModelWishes.model_fields
}


def named_wish(request: Request, wish: str, model_name: str) -> str:
    """Return what a wish about a model is called where it was asked.

    ``"'models.csv', column 'weight'"``, ``"'plan.yaml', models.a.weight"``,
    ``"--weight of 'a'"``, or its path in a request.
    """
    place = request.place_of_wish(wish, model_name)
    if place is not None:
        return place
    argument = ARGUMENT_BY_WISH.get(wish, wish)
    return in_words_of(
        python=as_path(("models", model_name, wish)),
        shell=f"{flag_of(argument)} of {quoted(model_name)}",
    )


def named_setting(
    request: Request,
    argument: str,
    value: str | None = None,
    *,
    model_names: Iterable[str] = (),
) -> str:
    """Return what a setting is called where it was asked; as an argument otherwise.

    Args:
        request: What is asked.
        argument: Its name as an argument.
        value: What it is set to, where that is at issue.
        model_names: Of a wish about models, those that it is asked of.
    """
    wish = WISH_BY_ARGUMENT.get(argument)
    if wish is None:
        places = [request.place_of(argument)]
    else:
        places = [request.place_of_wish(wish, name) for name in sorted(model_names)]
    place = next((one for one in places if one is not None), None)
    if place is None:
        return setting(argument, value)
    return place if value is None else f"{place} ({value})"


@contextmanager
def told_where(
    request: Request,
    *paths: tuple[str, ...],
    kind: type[InvalidInputError] = InvalidInputError,
) -> Iterator[None]:
    """Put where something was said in front of an error that is about it.

    ``"'plan.yaml', gpus.T9: unknown GPU 'T9'"``. What was said by argument is left as
    it is, and so is an error that names a place by itself.

    Args:
        request: What is asked.
        paths: What the error may be about; the first that a file or a column says.
        kind: Of the errors that are about it.
    """
    try:
        yield
    except kind as err:
        found = [place for one in paths if (place := _place_within(request, one))]
        told = str(err)
        if not found or any(place in told for place in request.said_at.values()):
            raise
        raise type(err)(f"{found[0]}: {told}") from err


def _place_within(request: Request, path: tuple[str, ...]) -> str | None:
    """Return where a field, or else what it is part of, was said."""
    for length in range(len(path), 0, -1):
        place = request.place_of(*path[:length])
        if place is not None:
            return ".".join([place, *(as_path((one,)) for one in path[length:])])
    return None
