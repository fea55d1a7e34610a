"""The options by which ``profile`` and ``verify`` say how to measure, and on what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

ModelRepositoryOption = Annotated[
    Path | None, typer.Option(help="Folder of models, for the embedded server.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse when other processes use the GPU.")
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Sizes of a dynamic input, without the batch: NAME:3,224,224, or "
        "MODEL/NAME:…; repeat for several."
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Real inputs: FILE.npz for every model, or MODEL=FILE.npz; repeat."
    ),
]
SeedOption = Annotated[int, typer.Option(help="For random inputs.")]
PrecisionOption = Annotated[
    float,
    typer.Option(
        help="Half-width asked for, in percent: of the interval that holds, with 95 % "
        "confidence, the throughput of a long measurement."
    ),
]
PercentileOption = Annotated[
    float,
    typer.Option(help="Measure enough requests for this latency percentile."),
]
MinSecondsOption = Annotated[
    float | None, typer.Option(help="Measure each point at least so long.")
]
MaxSecondsOption = Annotated[
    float, typer.Option(help="Measure each point at most so long.")
]
WarmUpOption = Annotated[
    float | None, typer.Option(help="Seconds to drive a model before measuring.")
]
RequestTimeoutOption = Annotated[
    float, typer.Option(help="Seconds one request may take.")
]
LoadTimeoutOption = Annotated[
    float, typer.Option(help="Seconds a model may take to load.")
]
ServerPythonOption = Annotated[
    Path | None, typer.Option(help="Python that the embedded server runs models in.")
]
ServerRootOption = Annotated[
    Path | None,
    typer.Option(help="An unpacked nvidia-pytriton wheel, instead of our own."),
]
TlsCaOption = Annotated[Path | None, typer.Option(help="Certificates to trust (PEM).")]
TlsCertOption = Annotated[
    Path | None, typer.Option(help="The client's own certificate (PEM).")
]
TlsKeyOption = Annotated[Path | None, typer.Option(help="Its key (PEM).")]
TlsInsecureOption = Annotated[
    bool, typer.Option("--tls-insecure", help="Trust any certificate (HTTPS).")
]


def parse_shapes(options: Sequence[str] | None) -> dict[str, list[int]]:
    """Return shapes by input name, or by ``MODEL/NAME``.

    Raises:
        InvalidInputError: If one is not ``NAME:SIZES``.
    """
    shapes = {}
    for option in options or ():
        name, colon, sizes = option.rpartition(":")
        try:
            shape = [int(size) for size in sizes.split(",")]
        except ValueError:
            shape = []
        if not colon or not name or not shape or min(shape) < 1:
            raise InvalidInputError(
                f"--shape {option!r}: give NAME:SIZES, such as image:3,224,224"
            )
        shapes[name] = shape
    return shapes


def parse_data(options: Sequence[str] | None) -> dict[str, Path]:
    """Return data files by model name; ``""`` is for every model.

    Raises:
        InvalidInputError: If there is no such file.
    """
    files = {}
    for option in options or ():
        model_name, _, path = option.rpartition("=")
        if not Path(path).is_file():
            raise InvalidInputError(f"--data {option!r}: there is no file {path!r}")
        files[model_name] = Path(path)
    return files
