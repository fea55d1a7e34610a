"""How a model was driven, as the cells of a row say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.values import count, rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.importers.tables.cells import NumberStyle

Load = tuple[int, int | None, float | None]
"""Batch size, concurrency and requests a second; one of the last two is None."""


def read_load(
    *,
    batch_size: str | int,
    concurrency: str | None,
    requests_per_sec: str | None,
    style: NumberStyle,
    where: Callable[[str], str],
) -> Load:
    """Return the load that the cells of a row say.

    Tables with a column for each way leave one empty, or 0, where the other holds.

    Args:
        batch_size: The cell, or what the caller knows.
        concurrency: The cell; None if there is no such column.
        requests_per_sec: The cell; None if there is no such column.
        style: How numbers are written.
        where: Returns row and column for messages, by the field's name.

    Raises:
        ProfileDataError: Naming the cell that is no such number.
    """
    size = batch_size
    if isinstance(size, str):
        size = count(size, where("batch_size"))
    is_open = concurrency is None or is_missing(concurrency)
    is_open = is_open or (
        requests_per_sec is not None
        and not is_missing(requests_per_sec)
        and concurrency in ("0", "0.0")
    )
    if requests_per_sec is not None and is_open:
        return size, None, rate(requests_per_sec, style, where("requests_per_sec"))
    return size, count(concurrency or "", where("concurrency")), None
