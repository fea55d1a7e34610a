"""``gpupack place``: decide, print, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.asked import (
    AllowUnstableOption,
    DemandOption,
    GpuOption,
    GpusOption,
    HeadroomOption,
    LatencyLimitOption,
    LatencyPercentileOption,
    LoadPointOption,
    OptionalOption,
    PriceOption,
    QuietOption,
    ReplicasOption,
    SeedOption,
    SourceArgument,
    WeightOption,
    parse_asked,
    read_source,
)
from gpupack.cli.console import print_warning, results
from gpupack.cli.named_values import parse_for_models
from gpupack.cli.outputs import require_apart
from gpupack.cli.sources import Knowledge, takes_source_options
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from gpupack.placement import Placement


@takes_source_options
def place_command(
    source: SourceArgument,
    *,
    knowledge: Knowledge,
    objective: Annotated[
        str, typer.Option(help="min_gpus, min_cost or max_throughput.")
    ] = Objective.MIN_GPUS.value,
    headroom: HeadroomOption = None,
    gpu: GpuOption = None,
    gpus: GpusOption = None,
    price: PriceOption = None,
    load_point: LoadPointOption = None,
    demand: DemandOption = None,
    latency_limit: LatencyLimitOption = None,
    latency_percentile: LatencyPercentileOption = 99,
    replicas: ReplicasOption = None,
    weight: WeightOption = None,
    fairness: Annotated[
        str, typer.Option(help="sum, or max_min: the share of demand each model gets.")
    ] = "sum",
    optional: OptionalOption = None,
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
            metavar="[MODEL=]SHARE",
            help="The share of its throughput alone that every model is predicted to "
            "keep beside its neighbours: 0.9, or MODEL=0.9 for one; repeat.",
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
    seed: SeedOption = 0,
    allow_unstable: AllowUnstableOption = False,
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
    quiet: QuietOption = False,
) -> None:
    """Decide which model goes on which GPU, and prove it.

    Exit codes: 0 proved (or feasible, with a warning), 2 bad input, 3 infeasible,
    5 none found within the time limit, and none proved impossible.
    """
    from gpupack.files import write_text
    from gpupack.planning.place import place
    from gpupack.report.terminal import print_placement
    from gpupack.store import write_placement

    require_apart({"--json": json_path, "--markdown": markdown_path}, [source])
    profiles = read_source(source, knowledge)
    placement = place(
        profiles,
        objective,
        fairness=fairness,
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
        **parse_asked(
            profiles,
            Objective.MAX_THROUGHPUT.value if demand else objective,
            gpu=gpu,
            gpus=gpus,
            price=price,
            headroom=headroom,
            load_point=load_point,
            demand=demand,
            latency_limit=latency_limit,
            latency_percentile=latency_percentile,
            replicas=replicas,
            weight=weight,
            optional=optional,
            seed=seed,
            allow_unstable=allow_unstable,
        ),
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
        found = _found_and_bound(placement)
        if placement.seconds < 0.9 * time_limit:  # interrupted, or out of ideas
            print_warning(f"not proved when it ended: {found}")
        else:
            print_warning(
                f"not proved within {time_limit:g} s: {found}; raise --time-limit"
            )


def _found_and_bound(placement: Placement) -> str:
    from gpupack.report.text import format_price

    unit = placement.objective_unit
    value, bound = placement.objective_value, placement.bound
    if unit is ObjectiveUnit.GPUS:
        return f"{placement.num_gpus} GPUs found, at least {bound:g} needed"
    if unit is ObjectiveUnit.PRICE_PER_HOUR:
        return (
            f"{format_price(value)} per hour found, at least {format_price(bound)} "
            "needed"
        )
    if unit is ObjectiveUnit.SERVED_SHARE:
        return f"{value:.1%} of every demand found, at most {bound:.1%} possible"
    return f"{value:,.1f} infer/sec found, at most {bound:,.1f} possible"
