"""The options by which ``profile`` and ``verify`` say how to measure, and on what."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profiling import InputOptions, TlsOptions

ModelRepositoryOption = Annotated[
    Path | None, typer.Option(help="Folder of models, for the embedded server.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse when other processes use the GPU.")
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL/]NAME:SIZES",
        help="Sizes of a dynamic input, without the batch: NAME:3,224,224, or "
        "MODEL/NAME:…; repeat for several.",
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]FILE",
        help="Real inputs, for every model or for one; repeat. FILE is a .npz, "
        "perf_analyzer's --input-data (.json), one JSON object a line (.jsonl), or a "
        "folder of encoded images.",
    ),
]
BatchDimOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]NUMBER",
        help="Which dimension of the inputs is the batch, counted from 0, where a "
        "model has max_batch_size: 0; none for no batch; repeat. By default the first, "
        "where it is dynamic in all of them.",
    ),
]
FillOptionalOption = Annotated[
    bool,
    typer.Option(
        "--fill-optional", help="Also send optional inputs that were not given."
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


def input_options(
    shape: Sequence[str] | None,
    data: Sequence[str] | None,
    seed: int,
    *,
    batch_dim: Sequence[str] | None = None,
    fills_optional: bool = False,
) -> InputOptions:
    """Return what the options about requests' inputs mean together.

    Raises:
        InvalidInputError: If an option cannot be read, or is given twice.
    """
    from gpupack.profiling import InputOptions

    if seed < 0:
        raise InvalidInputError(f"--seed {seed}: give a whole number from 0")

    return InputOptions(
        shapes=_parse_shapes(shape),
        data=_parse_data(data),
        seed=seed,
        batch_dims=_parse_batch_dims(batch_dim),
        fills_optional=fills_optional,
    )


def tls_options(
    ca: Path | None, cert: Path | None, key: Path | None, *, insecure: bool
) -> TlsOptions:
    """Return what the ``--tls-*`` options mean together."""
    from gpupack.profiling import TlsOptions

    return TlsOptions(
        ca_path=ca, certificate_path=cert, key_path=key, verify=not insecure
    )


def check_seconds(
    *,
    precision: float,
    min_seconds: float | None,
    max_seconds: float,
    warm_up: float | None,
    request_timeout: float,
    load_timeout: float,
    window_seconds: float = 1.0,
) -> None:
    """Refuse numbers out of their range, by the names of their options.

    Raises:
        InvalidInputError: One is.
    """
    for option, value in (
        ("--precision", precision),
        ("--max-seconds", max_seconds),
        ("--window-seconds", window_seconds),
        ("--request-timeout", request_timeout),
        ("--load-timeout", load_timeout),
    ):
        if not 0 < value < math.inf:
            raise InvalidInputError(f"{option} {value:g}: give a number above 0")
    for option, optional in (("--min-seconds", min_seconds), ("--warm-up", warm_up)):
        if optional is not None and not 0 <= optional < math.inf:
            raise InvalidInputError(f"{option} {optional:g}: give a number from 0")
    if min_seconds is not None and min_seconds > max_seconds:
        raise InvalidInputError(
            f"--min-seconds {min_seconds:g} is more than --max-seconds "
            f"{max_seconds:g}: lower the first or raise the second"
        )


def _parse_shapes(options: Sequence[str] | None) -> dict[str, list[int]]:
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
                f"--shape {quoted(option)}: give NAME:SIZES, such as image:3,224,224"
            )
        shapes[name] = shape
    return shapes


def _parse_batch_dims(options: Sequence[str] | None) -> dict[str, int | None]:
    """Return batch dimensions by model name; ``""`` is for every model.

    Raises:
        InvalidInputError: If one is no whole number from 0, and not ``none``.
    """
    dims: dict[str, int | None] = {}
    for option in options or ():
        model_name, _, text = option.rpartition("=")
        if text != "none" and not text.isdecimal():
            raise InvalidInputError(
                f"--batch-dim {quoted(option)}: give a whole number from 0, or none; "
                "MODEL=0 for one model"
            )
        dims[model_name] = None if text == "none" else int(text)
    return dims


def _parse_data(options: Sequence[str] | None) -> dict[str, Path]:
    """Return data files by model name; ``""`` is for every model.

    Raises:
        InvalidInputError: If there is no such file.
    """
    files = {}
    for option in options or ():
        model_name, _, path = option.rpartition("=")
        if not path or not Path(path).exists():
            raise InvalidInputError(
                f"--data {quoted(option)}: there is no file {quoted(path)}"
            )
        files[model_name] = Path(path)
    return files
