"""``gpupack frontier``: what every number of GPUs, or every budget, yields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli.console import print_warning, results
from gpupack.cli.named_values import (
    parse_by_model,
    parse_counts,
    parse_for_models,
)
from gpupack.cli.place import parse_headroom, parse_load_points, read_source
from gpupack.cli.supply import GPU_HELP, GPUS_HELP, parse_supply
from gpupack.records.placement import Objective, PlacementStatus


def frontier_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A file of profiles, or the name of a built-in example: medical."
        ),
    ],
    *,
    by: Annotated[
        str, typer.Option(help="gpus, or price for budgets per hour.")
    ] = "gpus",
    budget: Annotated[
        list[float] | None,
        typer.Option(help="A number of GPUs, or a price per hour; repeat for several."),
    ] = None,
    max_points: Annotated[
        int, typer.Option(help="Steps at most where no --budget is given.")
    ] = 20,
    gpu: Annotated[str | None, typer.Option(help=GPU_HELP)] = None,
    gpus: Annotated[list[str] | None, typer.Option(help=GPUS_HELP)] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="Price per GPU and hour: L4=0.71; repeat for each type."),
    ] = None,
    headroom: Annotated[
        list[str] | None,
        typer.Option(help="The share that may be used: 0.8, or memory=0.9; repeat."),
    ] = None,
    load_point: Annotated[
        list[str] | None,
        typer.Option(help="Batch size × concurrency: 2x4, or MODEL=2x4 for one."),
    ] = None,
    demand: Annotated[
        list[str] | None,
        typer.Option(help="Infer/sec wanted: MODEL=900; repeat for each model."),
    ] = None,
    latency_limit: Annotated[
        list[str] | None,
        typer.Option(help="Milliseconds: 25, or MODEL=25 for one; repeat."),
    ] = None,
    latency_percentile: Annotated[
        int, typer.Option(help="Of the latency limit: 50, 90, 95 or 99.")
    ] = 99,
    replicas: Annotated[
        list[str] | None, typer.Option(help="Instances: 2, or MODEL=2 for one.")
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(help="Of a model's throughput: MODEL=2.")
    ] = None,
    optional: Annotated[
        list[str] | None,
        typer.Option(help="A model that may be left out; repeat for several."),
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds for each step.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Same input and seed, same answer.")] = 0,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write steps and placements as JSON.")
    ] = None,
    plot_path: Annotated[
        Path | None,
        typer.Option("--plot", help="Write the figure: .png, .svg or .pdf."),
    ] = None,
) -> None:
    """Show what every number of GPUs, or every budget, yields at best.

    Exit codes: 0 done (with a warning where a step is not proved), 2 bad input,
    3 infeasible.
    """
    from gpupack.planning.frontier import frontier
    from gpupack.store import write_text

    profiles = read_source(source)
    found = frontier(
        profiles,
        by=by,
        budgets=budget or None,
        max_points=max_points,
        gpus=parse_supply(gpu, gpus),
        prices=parse_by_model("--price", price, "L4=0.71"),
        headroom=parse_headroom(Objective.MAX_THROUGHPUT.value, headroom),
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
        optional=optional or (),
        time_limit_s=time_limit,
        seed=seed,
    )
    if json_path is not None:
        write_text(json_path, found.to_json() + "\n")
    if plot_path is not None:
        _write_figure(found.plot(), plot_path)
    results.print(str(found), markup=False, soft_wrap=True)
    unproved = [
        point for point in found.points if point.status is PlacementStatus.FEASIBLE
    ]
    if unproved:
        print_warning(
            f"{len(unproved)} of {len(found.points)} steps not proved within "
            f"{time_limit:g} s each; raise --time-limit"
        )


def _write_figure(figure: object, path: Path) -> None:
    """Write a matplotlib figure in the format of the file's name.

    Raises:
        StoreError: If the file cannot be written, or the format is not known.
    """
    from gpupack.errors import StoreError

    try:
        figure.savefig(path)  # type: ignore[attr-defined]
    except (OSError, ValueError) as err:
        raise StoreError(
            f"cannot write {str(path)!r}: {err}; give a path that ends in .png, .svg "
            "or .pdf in a folder that exists"
        ) from err
