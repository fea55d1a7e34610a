"""The options that say of a source of profiles what it does not say itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypedDict

import typer

from gpupack.cli.options.groups import takes_options
from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

ModelNameOption = Annotated[
    str | None,
    typer.Option(help="Model that an export is of, where it does not name one."),
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(help="Batch size that an export is of, where it does not say."),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TITLE=MEANING",
        help="What a column means: tput=throughput_infer_per_sec, needed=demand, or "
        "TITLE=ignore; repeat for several. gpupack read shows what is understood.",
    ),
]
UnitOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHAT=UNIT",
        help="The unit of a column or quantity: memory=GB, latency=ms; repeat.",
    ),
]


class Knowledge(TypedDict):
    """Keyword arguments of ``read_profiles()`` that these options give."""

    model_name: str | None
    batch_size: int | None
    columns: dict[str, str]
    units: dict[str, str]


def source_options(
    *,
    model_name: ModelNameOption = None,
    batch_size: BatchSizeOption = None,
    column: ColumnOption = None,
    unit: UnitOption = None,
) -> Knowledge:
    """Return what the options say of a source.

    Raises:
        InvalidInputError: If one cannot be read, or is given twice.
    """
    return Knowledge(
        model_name=model_name,
        batch_size=batch_size,
        columns=_pairs("--column", column or (), "tput=throughput_infer_per_sec"),
        units=_pairs("--unit", unit or (), "memory=GB"),
    )


takes_source_options = takes_options(source_options, into="knowledge")
"""Give a command the options of ``source_options``, read into its ``knowledge``."""


def _pairs(option: str, texts: Sequence[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name or not value:
            raise InvalidInputError(f"{option} {quoted(text)}: give {example}")
        if name in pairs:
            raise InvalidInputError(f"{option} {quoted(text)}: given twice")
        pairs[name] = value
    return pairs
