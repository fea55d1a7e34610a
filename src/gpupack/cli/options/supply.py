"""What ``--gpu`` and ``--gpus`` mean together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

Supply = str | int | tuple[str, int] | dict[str, int | None] | None


def parse_supply(gpu: str | None, gpus: Sequence[str] | None) -> Supply:
    """Return the ``gpus`` argument of ``place()``.

    Raises:
        InvalidInputError: If a count is no whole number, or a type is given both ways
            or twice.
    """
    texts = list(gpus or ())
    if len(texts) == 1 and _count(texts[0]) is not None:
        count = _count(texts[0]) or 0
        return count if gpu is None else (gpu, count)
    if not texts:
        return gpu
    if gpu is not None:
        raise InvalidInputError(
            f"--gpu {gpu} beside --gpus {texts[0]}: name all types with --gpus"
        )
    fleet: dict[str, int | None] = {}
    for text in texts:
        name, equals, count_text = text.rpartition("=")
        if not equals:
            name, count_text = text, ""
        known = _count(count_text)
        if (equals and known is None) or not name or _is_number(name):
            raise InvalidInputError(
                f"--gpus {quoted(text)}: give a number, NAME or NAME=COUNT, such as "
                "L4=8"
            )
        if name in fleet:
            raise InvalidInputError(f"--gpus {quoted(text)}: {name} is given twice")
        fleet[name] = known
    return fleet


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _count(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
