# Long because every wish that several commands take has its option here, once.
"""The options by which ``place`` and ``frontier`` ask for the same things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from gpupack.catalogue import MEMORY_MIB_BY_NAME
from gpupack.cli.console import print_warning
from gpupack.cli.options.further import further_options, read_further
from gpupack.cli.options.groups import takes_options
from gpupack.cli.options.named_values import (
    parse_by_model,
    parse_by_type,
    parse_counts,
    parse_for_models,
    parse_named,
    parse_share,
)
from gpupack.cli.options.sources import Knowledge
from gpupack.cli.options.supply import parse_supply
from gpupack.errors import InvalidInputError
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import HOST_SHARES, Resource
from gpupack.records.request import (
    PERCENTILES,
    Billing,
    ContentionRule,
    Fairness,
    HeadroomLike,
    Objective,
    Request,
    RequestArguments,
)

WishReader = Callable[[ProfileSet, str | None], tuple[Request | None, RequestArguments]]
"""Reads a request and the arguments beside it; the objective says what binds."""


def completed_by(choices: type[StrEnum] | Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes an option's value by TAB: one of these."""

    def complete(incomplete: str) -> list[str]:
        return [one for one in map(str, choices) if one.startswith(incomplete)]

    return complete


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
    typer.Option(
        help="GPU type: 16GB, T4, A100-80GB, or NAME:MIB for any other.",
        autocompletion=completed_by(MEMORY_MIB_BY_NAME),
    ),
]
GpusOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N|TYPE[=N]",
        help="How many there are, as many as needed if left out; or a mixed fleet: "
        "L4=8 for eight, A100-80GB for as many as needed, repeated.",
        autocompletion=completed_by(MEMORY_MIB_BY_NAME),
    ),
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TYPE=PRICE",
        help="Price per GPU and hour: L4=0.71; repeat for each type.",
    ),
]
ReservedPriceOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TYPE=PRICE",
        help="The same where GPUs are reserved, for --billing reserved: L4=0.45.",
    ),
]
HostCpusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host-cpus-per-gpu",
        metavar="[TYPE=]CORES",
        help="Cores of the host that each GPU's models may use: 8, or T4=8 for one "
        "type; they bind only where this is said.",
    ),
]
HostMemoryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host-memory-per-gpu",
        metavar="[TYPE=]SIZE",
        help="Memory of the host that each GPU's models may hold: 64GB, 64GiB, or "
        "T4=64GB for one type; it binds only where this is said.",
    ),
]
HeadroomOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[RESOURCE=]SHARE",
        help="The share that may be used: 0.8 for whatever binds by default, "
        "memory=0.9 for one resource; repeat for several. Resources alone, "
        "without a plain number, name exactly what binds.",
        autocompletion=completed_by([f"{one.value}=" for one in Resource]),
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
        help="Infer/sec to be served: MODEL=900; repeat for each model. 0 loads a "
        "model that has no traffic to meet.",
    ),
]
LatencyLimitOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]MS", help="Milliseconds: 25, or MODEL=25 for one; repeat."
    ),
]
LatencyPercentileOption = Annotated[
    int | None,
    typer.Option(
        help="Of the latency limit: 50, 90, 95 or 99 (default).",
        autocompletion=completed_by([str(one) for one in PERCENTILES]),
    ),
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
WithoutOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL",
        help="A model that is not planned for, as if it had no profile; repeat.",
    ),
]
SeedOption = Annotated[
    int | None, typer.Option(help="For every random choice; 0 if left out.")
]
AllowUnstableOption = Annotated[
    bool | None,
    typer.Option(
        "--allow-unstable/--no-allow-unstable",
        help="Use measurements that never settled.",
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No table and no progress: warnings and errors alone."
    ),
]


VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Tell on standard error what is done.")
]


RequestOption = Annotated[
    Path | None,
    typer.Option(
        help="A request as YAML, TOML or JSON, or a placement, whose request is asked "
        "again; options given beside it win, with a warning."
    ),
]
MaxReplicasOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]N", help="Instances at most, of models with a demand."
    ),
]
MinTrafficOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]RATE",
        help="Infer/sec that each of several replicas serves at least.",
    ),
]
OneLoadPointOption = Annotated[
    bool | None,
    typer.Option(
        "--one-load-point/--no-one-load-point",
        help="Let all replicas of a model run at one load point.",
    ),
]
MaxGpusOption = Annotated[
    int | None, typer.Option(help="GPUs of all types together, at most.")
]
MaxPriceOption = Annotated[
    float | None,
    typer.Option("--max-price", help="What all GPUs together may cost per hour."),
]
FairnessOption = Annotated[
    str | None,
    typer.Option(
        help="sum (default), or max_min: the share of demand each model gets.",
        autocompletion=completed_by(Fairness),
    ),
]
CarryMemoryOverOption = Annotated[
    bool | None,
    typer.Option(
        "--carry-memory-over/--no-carry-memory-over",
        help="Use GPU types without profiles, by the memory measured on another.",
    ),
]
EstimateOption = Annotated[
    bool | None,
    typer.Option(
        "--estimate-unmeasured/--no-estimate-unmeasured",
        help="Plan for GPU types without profiles by estimates from published figures; "
        "they are flagged, and promise nothing.",
    ),
]
MinRetentionOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]SHARE",
        help="The share of its throughput alone that every model is predicted to "
        "keep beside its neighbours: 0.9, or MODEL=0.9 for one; repeat.",
    ),
]
SharingOption = Annotated[
    str | None,
    typer.Option(
        help="How models share a GPU: time_slicing (default), mps or streams.",
        autocompletion=completed_by(SharingMode),
    ),
]
ContentionOption = Annotated[
    str | None,
    typer.Option(
        help="predicted: max_throughput counts what models are predicted to reach "
        "together; plain (default): what they reach alone.",
        autocompletion=completed_by(ContentionRule),
    ),
]
LatencyOption = Annotated[
    str | None,
    typer.Option(
        help="What latency limits are about: alone (as measured) or predicted (beside "
        "neighbors, of requests that arrive as planned)."
    ),
]
PlannedArrivalsOption = Annotated[
    str | None,
    typer.Option(
        help="How requests arrive, for --latency predicted: poisson (the default), "
        "constant, or gamma:BURSTINESS, in bursts where that is below 1."
    ),
]
DemandMetOption = Annotated[
    str | None,
    typer.Option(
        help="predicted: every demand is met as predicted beside neighbors; plain "
        "(default): as measured alone, with a warning.",
        autocompletion=completed_by(ContentionRule),
    ),
]
GrowthOption = Annotated[
    float | None, typer.Option(help="What every demand is multiplied by: 1.5.")
]
BillingOption = Annotated[
    str | None,
    typer.Option(
        help="Which price counts: on_demand (default) or reserved.",
        autocompletion=completed_by(Billing),
    ),
]
CurrencyOption = Annotated[
    str | None, typer.Option(help="Of the prices, as it is to be told: EUR.")
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(help="Seconds, at most for each step of a frontier; 10 if left out."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="Threads of the search; what the machine offers if left out. With 1 the "
        "same input and seed give the same answer."
    ),
]


def wish_options(
    *,
    source: str | None = None,
    knowledge: Knowledge | None = None,
    request: RequestOption = None,
    headroom: HeadroomOption = None,
    gpu: GpuOption = None,
    gpus: GpusOption = None,
    price: PriceOption = None,
    reserved_price: ReservedPriceOption = None,
    host_cpus_per_gpu: HostCpusOption = None,
    host_memory_per_gpu: HostMemoryOption = None,
    max_gpus: MaxGpusOption = None,
    max_price_per_hour: MaxPriceOption = None,
    load_point: LoadPointOption = None,
    demand: DemandOption = None,
    latency_limit: LatencyLimitOption = None,
    latency_percentile: LatencyPercentileOption = None,
    replicas: ReplicasOption = None,
    max_replicas: MaxReplicasOption = None,
    min_traffic: MinTrafficOption = None,
    one_load_point: OneLoadPointOption = None,
    weight: WeightOption = None,
    fairness: FairnessOption = None,
    optional: OptionalOption = None,
    without: WithoutOption = None,
    carry_memory_over: CarryMemoryOverOption = None,
    estimate_unmeasured: EstimateOption = None,
    min_retention: MinRetentionOption = None,
    sharing: SharingOption = None,
    contention: ContentionOption = None,
    demand_met: DemandMetOption = None,
    latency: LatencyOption = None,
    arrivals: PlannedArrivalsOption = None,
    growth: GrowthOption = None,
    billing: BillingOption = None,
    currency: CurrencyOption = None,
    time_limit: TimeLimitOption = None,
    seed: SeedOption = None,
    workers: WorkersOption = None,
    allow_unstable: AllowUnstableOption = None,
    **further: object,
) -> WishReader:
    """Return what reads these options, once it is known which models there are.

    A table of profiles that is the ``source`` may hold wishes beside them, over which
    a request wins. ``further`` are wishes without an option here.
    """

    def read(
        profiles: ProfileSet, objective: str | None
    ) -> tuple[Request | None, RequestArguments]:
        asked = _asked_in_files(source, knowledge, request)
        names = profiles.model_names
        given = RequestArguments(
            gpus=parse_supply(gpu, gpus),
            prices=parse_by_model("--price", price, "L4=0.71"),
            reserved_prices=parse_by_model(
                "--reserved-price", reserved_price, "L4=0.45"
            ),
            host_cpus_per_gpu=parse_by_type(
                "--host-cpus-per-gpu", host_cpus_per_gpu, "8, or L4=8 for each type"
            ),
            host_memory_per_gpu=parse_by_type(
                "--host-memory-per-gpu",
                host_memory_per_gpu,
                "64GB, or L4=64GB for each type",
            ),
            max_gpus=max_gpus,
            max_price_per_hour=max_price_per_hour,
            load_point=_parse_load_points(load_point, names),
            demand=parse_by_model("--demand", demand, "resnet=900"),
            latency_limit_ms=parse_for_models(
                "--latency-limit", latency_limit, "25 or resnet=25", names
            ),
            replicas=parse_counts("--replicas", replicas, "2 or resnet=2", names),
            max_replicas=parse_counts(
                "--max-replicas", max_replicas, "4 or resnet=4", names
            ),
            min_traffic=parse_for_models(
                "--min-traffic", min_traffic, "5 or resnet=5", names
            ),
            one_load_point=one_load_point,
            weights=parse_by_model("--weight", weight, "resnet=2"),
            fairness=fairness,
            min_retention=parse_for_models(
                "--min-retention",
                min_retention,
                "0.9, 90% or resnet50=0.9",
                names,
                number=parse_share,
            ),
            sharing=sharing,
            workers=workers,
        )
        plain: dict[str, object] = {
            "latency_percentile": latency_percentile,
            "optional": optional,
            "without": without,
            "carry_memory_over": carry_memory_over,
            "estimate_unmeasured": estimate_unmeasured,
            "contention": contention,
            "demand_met": demand_met,
            "latency": latency,
            "arrivals": arrivals,
            "growth": growth,
            "billing": billing,
            "currency": currency,
            "time_limit_s": time_limit,
            "seed": seed,
            "allow_unstable": allow_unstable,
        }
        if headroom is not None:
            plain["headroom"] = _parse_headroom(
                objective,
                asked,
                headroom,
                has_demand=bool(demand),
                host={
                    Resource.HOST_CPU: bool(host_cpus_per_gpu),
                    Resource.HOST_MEMORY: bool(host_memory_per_gpu),
                },
            )
        known = {name: value for name, value in plain.items() if value is not None}
        known |= read_further(further, names)
        return asked, given | cast("RequestArguments", known)

    return read


takes_wish_options = takes_options(wish_options, into="wishes", more=further_options)
"""Give a command the options of ``wish_options``, read into its ``wishes``."""


def _asked_in_files(
    source: str | None, knowledge: Knowledge | None, path: Path | None
) -> Request | None:
    """Return what the table of the profiles and a request ask; None if nothing."""
    from gpupack.planning import overlay_requests, wishes_beside
    from gpupack.quoting import printable

    request = None if path is None else _read_request(path)
    if source is None:
        beside = None
    elif knowledge is None:
        beside = wishes_beside(source)
    else:
        beside = wishes_beside(
            source,
            columns=knowledge["columns"],
            model_name=knowledge["model_name"],
            batch_size=knowledge["batch_size"],
            units=knowledge["units"],
        )
    if beside is None:
        return request
    found, notes = overlay_requests(beside, request)
    for note in notes:
        print_warning(printable(note))
    return found


def _read_request(path: Path) -> Request | None:
    """Return the request in a file, or that of the columns of a table, if any."""
    from gpupack.planning import wishes_beside
    from gpupack.request_file import read_request

    return wishes_beside(path) or read_request(path)


def read_source(source: str, knowledge: Knowledge) -> ProfileSet:
    """Return the profiles of a file or, failing that, of a built-in example.

    Args:
        source: The file, or the example's name.
        knowledge: What the file does not say itself.

    Raises:
        InvalidInputError: If it is neither; names the examples.
    """
    from gpupack.importers.reader import read_profiles
    from gpupack.planning import profiles_of

    return profiles_of(source, read=lambda path: read_profiles(path, **knowledge))


def _parse_headroom(
    objective: str | None,
    request: Request | None,
    options: Sequence[str],
    *,
    has_demand: bool,
    host: dict[Resource, bool],
) -> HeadroomLike:
    """Return the headroom of ``--headroom`` options.

    Args:
        objective: Says, with demands, what binds by default.
        request: The request beside the options, if any.
        options: Shares, of one resource each or of whatever binds.
        has_demand: Whether options give demands.
        host: Whether options say how much of the host GPUs have.
    """
    from gpupack.planning import overlay_headroom
    from gpupack.records.request import Request

    overall, named = parse_named(
        "--headroom", options, "a share: 0.8, 80% or memory=0.9", number=parse_share
    )
    asked = request or Request()
    wishes = (asked.defaults, *asked.models.values())
    if has_demand or any(one.demand is not None for one in wishes):
        # What is asked for runs at the same time, so that the utilizations bind, too.
        goal = Objective.MAX_THROUGHPUT
    elif objective is not None:
        goal = Request.model_validate({"objective": objective}).objective
    else:
        goal = asked.objective
    gpus = asked.gpus.values() if isinstance(asked.gpus, dict) else ()
    of_host = [
        resource
        for resource, name in HOST_SHARES.items()
        if host[resource] or any(getattr(one, name) is not None for one in gpus)
    ]
    return overlay_headroom(goal, overall, named, also=of_host)


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
