"""What somebody asked, called as they wrote it: by argument, flag, file or column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.quoting import quoted
from gpupack.records.request import ModelWishes, as_path
from gpupack.spelling import flag_of, in_words_of, setting

if TYPE_CHECKING:
    from collections.abc import Iterable

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
