"""The options by which ``profile`` and ``verify`` say how to measure, and on what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.options.groups import takes_options
from gpupack.errors import InvalidInputError
from gpupack.given_numbers import share_number
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profiling import InputOptions, MeasureOptions, ServerOptions
    from gpupack.records.request.arrivals import Arrivals

UrlOption = Annotated[
    str | None,
    typer.Option(
        help="A running Triton: http://, https://, grpc:// or grpcs://HOST:PORT; "
        "verify wants one without loaded models."
    ),
]
GpuOption = Annotated[
    str | None,
    typer.Option(
        help="GPU to run on: index, GPU:MIG indices, UUID, or host; for a server on "
        "another host the name of its GPU type."
    ),
]
ModelRepositoryOption = Annotated[
    Path | None,
    typer.Option(
        "--model-repository",
        "--model-folder",
        help="Folder of models, for the embedded server.",
    ),
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
SequenceLengthOption = Annotated[
    int, typer.Option(help="For stateful models: requests of each sequence.")
]
SeedOption = Annotated[int, typer.Option(help="For random inputs.")]
StabilityOption = Annotated[
    str,
    typer.Option(
        help="When a point is done: confidence (interval of the throughput), or "
        "three_windows (perf_analyzer's rule)."
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Half-width asked for of the 95 % interval, as 3%, 3 or 0.03: of a "
        "point's throughput (profile: 5% if left out), or of what each model keeps of "
        "its throughput alone (verify: 3% if left out).",
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
    float | None,
    typer.Option(
        help="Measure each point (profile: 10 if left out), or each GPU without its "
        "loads (verify: 110), at most so long."
    ),
]
ArrivalsOption = Annotated[
    str | None,
    typer.Option(
        metavar="KIND|FILE",
        help="How requests arrive that are sent at a rate: poisson (the default), "
        "constant, gamma:BURSTINESS (below 1 in bursts, such as gamma:0.5), or a file "
        "of times, one a line, in seconds.",
    ),
]
WarmUpOption = Annotated[
    float | None, typer.Option(help="Seconds to drive a model before measuring.")
]
WindowSecondsOption = Annotated[
    float, typer.Option(help="For three_windows: length of a window.")
]
WindowRequestsOption = Annotated[
    int | None, typer.Option(help="For three_windows: requests per window instead.")
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


_PRECISION, _MAX_SECONDS = 0.05, 10.0
"""Of a load point, where they are not said."""


@dataclass(frozen=True)
class Measuring:
    """On which server, how well, and with which inputs is measured."""

    server: ServerOptions
    options: MeasureOptions
    inputs: InputOptions
    strict: bool
    arrivals: Arrivals | None
    precision: float | None = None
    """A share. None if it is not said."""
    is_bare_share: bool = False
    """Whether the precision was written as a number below 1, without a percent sign."""
    max_seconds: float | None = None
    """None if it is not said."""


def measuring_options(
    *,
    model_repository: ModelRepositoryOption = None,
    url: UrlOption = None,
    gpu: GpuOption = None,
    strict: StrictOption = False,
    shape: ShapeOption = None,
    batch_dim: BatchDimOption = None,
    fill_optional: FillOptionalOption = False,
    sequence_length: SequenceLengthOption = 20,
    data: DataOption = None,
    seed: SeedOption = 0,
    arrivals: ArrivalsOption = None,
    stability: StabilityOption = "confidence",
    precision: PrecisionOption = None,
    percentile: PercentileOption = 95.0,
    min_seconds: MinSecondsOption = None,
    max_seconds: MaxSecondsOption = None,
    warm_up: WarmUpOption = None,
    window_seconds: WindowSecondsOption = 5.0,
    window_requests: WindowRequestsOption = None,
    request_timeout: RequestTimeoutOption = 30.0,
    load_timeout: LoadTimeoutOption = 120.0,
    server_python: ServerPythonOption = None,
    server_root: ServerRootOption = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_insecure: TlsInsecureOption = False,
) -> Measuring:
    """Return what the options mean together.

    Raises:
        InvalidInputError: If one cannot be read, is given twice, or is out of its
            range.
    """
    from gpupack.profiling import (
        InputOptions,
        MeasureOptions,
        ServerOptions,
        TlsOptions,
    )
    from gpupack.records.request.arrivals import Arrivals

    half_width_ratio = None if precision is None else _precision(precision)
    _check_seconds(
        min_seconds=min_seconds,
        max_seconds=_MAX_SECONDS if max_seconds is None else max_seconds,
        warm_up=warm_up,
        request_timeout=request_timeout,
        load_timeout=load_timeout,
        window_seconds=window_seconds,
    )
    if seed < 0:
        raise InvalidInputError(f"--seed {seed}: give a whole number from 0")
    return Measuring(
        server=ServerOptions(
            url,
            model_repository,
            gpu,
            tls=TlsOptions(
                ca_path=tls_ca,
                certificate_path=tls_cert,
                key_path=tls_key,
                verify=not tls_insecure,
            ),
            python=server_python,
            root=server_root,
            load_timeout_s=load_timeout,
        ),
        options=MeasureOptions(
            stopping_rule=stability,
            half_width_ratio=(
                _PRECISION if half_width_ratio is None else half_width_ratio
            ),
            percentile=percentile,
            min_duration_s=min_seconds,
            max_duration_s=_MAX_SECONDS if max_seconds is None else max_seconds,
            window_s=window_seconds,
            window_requests=window_requests,
            warm_up_s=warm_up,
            request_timeout_s=request_timeout,
        ),
        inputs=InputOptions(
            shapes=_parse_shapes(shape),
            data=_parse_data(data),
            seed=seed,
            batch_dims=_parse_batch_dims(batch_dim),
            fills_optional=fill_optional,
            sequence_length=sequence_length,
        ),
        strict=strict,
        arrivals=None if arrivals is None else Arrivals.parse(arrivals),
        precision=half_width_ratio,
        is_bare_share=(
            precision is not None and "%" not in precision and float(precision) < 1
        ),
        max_seconds=max_seconds,
    )


takes_measuring_options = takes_options(measuring_options, into="measuring")
"""Give a command these options, read into its ``measuring``."""
takes_round_options = takes_options(
    measuring_options,
    into="measuring",
    without=("stability", "window_seconds", "window_requests"),
)
"""The same for what measures in rounds, which no rule for one point ends."""


def _precision(text: str) -> float:
    """Return a precision as a share: of 3%, 3 and 0.03 the same.

    Raises:
        InvalidInputError: It is none above 0 and below 1.
    """
    share = share_number(text)
    if share is None:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        # By the decimal point, as 3% is, so that both are the same number.
        share = share_number(f"{text}%") if number >= 1 else number
    if share is None or not 0 < share < 1:
        raise InvalidInputError(
            f"--precision {text}: give a number above 0 and below 100, such as 3%"
        )
    return share


def _check_seconds(
    *,
    min_seconds: float | None,
    max_seconds: float,
    warm_up: float | None,
    request_timeout: float,
    load_timeout: float,
    window_seconds: float,
) -> None:
    """Refuse numbers out of their range, by the names of their options.

    Raises:
        InvalidInputError: One is.
    """
    for option, value in (
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
