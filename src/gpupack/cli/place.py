"""``gpupack place``: decide, print, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.console import print_warning, results
from gpupack.cli.named_values import (
    parse_by_model,
    parse_counts,
    parse_for_models,
    parse_named,
)
from gpupack.cli.supply import GPU_HELP, GPUS_HELP, parse_supply
from gpupack.errors import InvalidInputError
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.placement import Placement
    from gpupack.planning.headroom import HeadroomLike
    from gpupack.profile_set import ProfileSet


def place_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A file of profiles (gpupack's, CSV, Model Analyzer's or "
            "perf_analyzer's), or the name of a built-in example such as medical."
        ),
    ],
    *,
    objective: Annotated[
        str, typer.Option(help="min_gpus, min_cost or max_throughput.")
    ] = Objective.MIN_GPUS.value,
    headroom: Annotated[
        list[str] | None,
        typer.Option(
            help="The share that may be used: 0.8 for whatever binds by default, "
            "memory=0.9 for one resource; repeat for several. Resources alone, "
            "without a plain number, name exactly what binds."
        ),
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(help=GPU_HELP),
    ] = None,
    gpus: Annotated[list[str] | None, typer.Option(help=GPUS_HELP)] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="Price per GPU and hour: L4=0.71; repeat for each type."),
    ] = None,
    load_point: Annotated[
        list[str] | None,
        typer.Option(
            help="Batch size × concurrency to plan with: 2x4, or MODEL=2x4 for one; "
            "every measured one is an option if left out."
        ),
    ] = None,
    demand: Annotated[
        list[str] | None,
        typer.Option(help="Infer/sec to be served: MODEL=900; repeat for each model."),
    ] = None,
    latency_limit: Annotated[
        list[str] | None,
        typer.Option(help="Milliseconds: 25, or MODEL=25 for one; repeat."),
    ] = None,
    latency_percentile: Annotated[
        int, typer.Option(help="Of the latency limit: 50, 90, 95 or 99.")
    ] = 99,
    replicas: Annotated[
        list[str] | None,
        typer.Option(
            help="Instances: 2, or MODEL=2 for one; at least so many with a demand."
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="Of a model's throughput in max_throughput: MODEL=2."),
    ] = None,
    fairness: Annotated[
        str, typer.Option(help="sum, or max_min: the share of demand each model gets.")
    ] = "sum",
    optional: Annotated[
        list[str] | None,
        typer.Option(help="A model that may be left out; repeat for several."),
    ] = None,
    carry_memory_over: Annotated[
        bool,
        typer.Option(
            "--carry-memory-over",
            help="Use GPU types without profiles, by the memory measured on another.",
        ),
    ] = False,
    min_retention: Annotated[
        list[str] | None,
        typer.Option(
            help="The share of its throughput alone that every model is predicted to "
            "keep beside its neighbours: 0.9, or MODEL=0.9 for one; repeat for several."
        ),
    ] = None,
    sharing: Annotated[
        str, typer.Option(help="How models share a GPU: time_slicing, mps or streams.")
    ] = "time_slicing",
    contention: Annotated[
        str,
        typer.Option(
            help="predicted: max_throughput counts what models are predicted to reach "
            "together; plain: what they reach alone."
        ),
    ] = "plain",
    time_limit: Annotated[float, typer.Option(help="Seconds.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Same input and seed, same placement.")] = 0,
    allow_unstable: Annotated[
        bool,
        typer.Option("--allow-unstable", help="Use measurements that never settled."),
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the placement as JSON.")
    ] = None,
    markdown_path: Annotated[
        Path | None, typer.Option("--markdown", help="Write the table as Markdown.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say what binds, why, and what would help."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no table.")
    ] = False,
) -> None:
    """Decide which model goes on which GPU, and prove it.

    Exit codes: 0 proved (or feasible, with a warning), 2 bad input, 3 infeasible.
    """
    from gpupack.planning.place import place
    from gpupack.report.terminal import print_placement
    from gpupack.store import write_placement, write_text

    profiles = read_source(source)
    placement = place(
        profiles,
        objective,
        gpus=parse_supply(gpu, gpus),
        prices=parse_by_model("--price", price, "L4=0.71"),
        headroom=parse_headroom(
            Objective.MAX_THROUGHPUT.value if demand else objective, headroom
        ),
        load_point=parse_load_points(load_point, profiles.model_names),
        demand=parse_by_model("--demand", demand, "resnet=900"),
        latency_limit_ms=parse_for_models(
            "--latency-limit", latency_limit, "25 or resnet=25", profiles.model_names
        ),
        latency_percentile=latency_percentile,
        replicas=parse_counts(
            "--replicas", replicas, "2 or resnet=2", profiles.model_names
        ),
        weights=parse_by_model("--weight", weight, "resnet=2"),
        fairness=fairness,
        optional=optional or (),
        carry_memory_over=carry_memory_over,
        min_retention=parse_for_models(
            "--min-retention",
            min_retention,
            "0.9 or resnet50=0.9",
            profiles.model_names,
        ),
        sharing=sharing,
        contention=contention,
        time_limit_s=time_limit,
        seed=seed,
        allow_unstable=allow_unstable,
    )
    if json_path is not None:
        write_placement(placement, json_path)
    if markdown_path is not None:
        write_text(markdown_path, placement.to_markdown())
    if not quiet:
        print_placement(placement, results)
    if explain:
        results.print(str(placement.explain()), markup=False, soft_wrap=True)
    if placement.status is PlacementStatus.FEASIBLE:
        print_warning(
            f"not proved within {time_limit:g} s: {_found_and_bound(placement)}; raise "
            "--time-limit"
        )


def read_source(source: str) -> ProfileSet:
    """Return the profiles of a file or, failing that, of a built-in example.

    Raises:
        InvalidInputError: If it is neither; names the examples.
    """
    from gpupack.examples import example_names, load_example
    from gpupack.importers.reader import read_profiles

    if Path(source).exists():
        return read_profiles(source)
    if source in example_names():
        return load_example(source)
    raise InvalidInputError(
        f"{source!r} is neither a file nor a built-in example; the examples are "
        f"{', '.join(example_names())}"
    )


def parse_headroom(objective: str, options: Sequence[str] | None) -> HeadroomLike:
    """Return what the ``--headroom`` options mean together.

    Raises:
        InvalidInputError: If a share is no number or given twice.
    """
    from gpupack.planning.headroom import overlay_headroom, resolve_objective

    overall, named = parse_named("--headroom", options, "a share: 0.8 or memory=0.9")
    return overlay_headroom(resolve_objective(objective), overall, named)


def parse_load_points(
    options: Sequence[str] | None, model_names: Sequence[str]
) -> str | dict[str, str] | None:
    """Return what the ``--load-point`` options mean together.

    Raises:
        InvalidInputError: If a model, or all of them, are given two.
    """
    overall: str | None = None
    named: dict[str, str] = {}
    for option in options or ():
        name, equals, point = option.rpartition("=")
        if (equals and name in named) or (not equals and overall is not None):
            raise InvalidInputError(f"--load-point {option!r}: given twice")
        if equals:
            named[name] = point
        else:
            overall = point
    if not named:
        return overall
    return (dict.fromkeys(model_names, overall) if overall else {}) | named


def _found_and_bound(placement: Placement) -> str:
    unit = placement.objective_unit
    value, bound = placement.objective_value, placement.bound
    if unit is ObjectiveUnit.GPUS:
        return f"{placement.num_gpus} GPUs found, at least {bound:g} needed"
    if unit is ObjectiveUnit.PRICE_PER_HOUR:
        return f"{value:.2f} per hour found, at least {bound:.2f} needed"
    if unit is ObjectiveUnit.SERVED_SHARE:
        return f"{value:.1%} of every demand found, at most {bound:.1%} possible"
    return f"{value:,.1f} infer/sec found, at most {bound:,.1f} possible"
