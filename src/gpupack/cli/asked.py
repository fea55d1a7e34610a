"""The options by which ``place`` and ``frontier`` ask for the same things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from gpupack.cli.named_values import (
    parse_by_model,
    parse_counts,
    parse_for_models,
    parse_named,
)
from gpupack.cli.supply import Supply, parse_supply
from gpupack.errors import InvalidInputError
from gpupack.files import file_mode
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.cli.sources import Knowledge
    from gpupack.planning.headroom import HeadroomLike
    from gpupack.profile_set import ProfileSet

SourceArgument = Annotated[
    str,
    typer.Argument(
        help="A file of profiles (gpupack's, any CSV table, an export of Model "
        "Analyzer, perf_analyzer or AIPerf), or the name of a built-in example such as "
        "medical."
    ),
]
GpuOption = Annotated[
    str | None,
    typer.Option(help="GPU type: 16GB, T4, A100-80GB, or NAME:MIB for any other."),
]
GpusOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N|TYPE[=N]",
        help="How many there are, as many as needed if left out; or a mixed fleet: "
        "L4=8 for eight, A100-80GB for as many as needed, repeated.",
    ),
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TYPE=PRICE",
        help="Price per GPU and hour: L4=0.71; repeat for each type.",
    ),
]
HeadroomOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[RESOURCE=]SHARE",
        help="The share that may be used: 0.8 for whatever binds by default, "
        "memory=0.9 for one resource; repeat for several. Resources alone, "
        "without a plain number, name exactly what binds.",
    ),
]
LoadPointOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]BxC",
        help="Batch size × concurrency to plan with: 2x4, or MODEL=2x4 for one; "
        "every measured one is an option if left out.",
    ),
]
DemandOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=RATE",
        help="Infer/sec to be served: MODEL=900; repeat for each model.",
    ),
]
LatencyLimitOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]MS", help="Milliseconds: 25, or MODEL=25 for one; repeat."
    ),
]
LatencyPercentileOption = Annotated[
    int, typer.Option(help="Of the latency limit: 50, 90, 95 or 99.")
]
ReplicasOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]N",
        help="Instances: 2, or MODEL=2 for one; at least so many with a demand.",
    ),
]
WeightOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=WEIGHT",
        help="Of a model's throughput in max_throughput: MODEL=2.",
    ),
]
OptionalOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL", help="A model that may be left out; repeat for several."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Same input and seed, same answer.")]
AllowUnstableOption = Annotated[
    bool,
    typer.Option("--allow-unstable", help="Use measurements that never settled."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no table.")]


class Asked(TypedDict):
    """Keyword arguments that ``place()`` and ``frontier()`` share."""

    gpus: Supply
    prices: Mapping[str, float] | None
    headroom: HeadroomLike
    load_point: str | dict[str, str] | None
    demand: Mapping[str, float] | None
    latency_limit_ms: Mapping[str, float] | None
    latency_percentile: int
    replicas: Mapping[str, int] | None
    weights: Mapping[str, float] | None
    optional: Sequence[str]
    seed: int
    allow_unstable: bool


def parse_asked(
    profiles: ProfileSet,
    objective: str,
    *,
    gpu: str | None,
    gpus: Sequence[str] | None,
    price: Sequence[str] | None,
    headroom: Sequence[str] | None,
    load_point: Sequence[str] | None,
    demand: Sequence[str] | None,
    latency_limit: Sequence[str] | None,
    latency_percentile: int,
    replicas: Sequence[str] | None,
    weight: Sequence[str] | None,
    optional: Sequence[str] | None,
    seed: int,
    allow_unstable: bool,
) -> Asked:
    """Return what these options mean together.

    A plain value holds for every model of the profiles, a plain headroom for whatever
    the objective binds.

    Raises:
        InvalidInputError: If an option cannot be read, or is given twice.
    """
    names = profiles.model_names
    return Asked(
        gpus=parse_supply(gpu, gpus),
        prices=parse_by_model("--price", price, "L4=0.71"),
        headroom=_parse_headroom(objective, headroom),
        load_point=_parse_load_points(load_point, names),
        demand=parse_by_model("--demand", demand, "resnet=900"),
        latency_limit_ms=parse_for_models(
            "--latency-limit", latency_limit, "25 or resnet=25", names
        ),
        latency_percentile=latency_percentile,
        replicas=parse_counts("--replicas", replicas, "2 or resnet=2", names),
        weights=parse_by_model("--weight", weight, "resnet=2"),
        optional=optional or (),
        seed=seed,
        allow_unstable=allow_unstable,
    )


def read_source(source: str, knowledge: Knowledge) -> ProfileSet:
    """Return the profiles of a file or, failing that, of a built-in example.

    Args:
        source: The file, or the example's name.
        knowledge: What the file does not say itself.

    Raises:
        InvalidInputError: If it is neither; names the examples.
    """
    from gpupack.examples import example_names, load_example
    from gpupack.importers.reader import read_profiles

    if file_mode(source) is not None:
        return read_profiles(source, **knowledge)
    if source in example_names():
        return load_example(source)
    raise InvalidInputError(
        f"{quoted(source)} is neither a file nor a built-in example; the examples are "
        f"{', '.join(example_names())}"
    )


def _parse_headroom(objective: str, options: Sequence[str] | None) -> HeadroomLike:
    from gpupack.planning.headroom import overlay_headroom, resolve_objective

    overall, named = parse_named("--headroom", options, "a share: 0.8 or memory=0.9")
    return overlay_headroom(resolve_objective(objective), overall, named)


def _parse_load_points(
    options: Sequence[str] | None, model_names: Sequence[str]
) -> str | dict[str, str] | None:
    overall: str | None = None
    named: dict[str, str] = {}
    for option in options or ():
        name, equals, point = option.rpartition("=")
        if (equals and name in named) or (not equals and overall is not None):
            raise InvalidInputError(f"--load-point {quoted(option)}: given twice")
        if equals:
            named[name] = point
        else:
            overall = point
    if not named:
        return overall
    return (dict.fromkeys(model_names, overall) if overall else {}) | named
