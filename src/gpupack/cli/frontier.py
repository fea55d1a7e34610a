"""``gpupack frontier``: what every number of GPUs, or every budget, yields."""

from __future__ import annotations

from collections import Counter
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
from gpupack.cli.outputs import require_apart
from gpupack.cli.sources import Knowledge, takes_source_options
from gpupack.records.placement import Objective, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.placement import Placement


@takes_source_options
def frontier_command(
    source: SourceArgument,
    *,
    knowledge: Knowledge,
    by: Annotated[
        str, typer.Option(help="gpus, or price for budgets per hour.")
    ] = "gpus",
    budget: Annotated[
        list[float] | None,
        typer.Option(
            metavar="N|PRICE",
            help="A number of GPUs, or a price per hour; repeat for several.",
        ),
    ] = None,
    max_points: Annotated[
        int, typer.Option(help="Steps at most where no --budget is given.")
    ] = 20,
    gpu: GpuOption = None,
    gpus: GpusOption = None,
    price: PriceOption = None,
    headroom: HeadroomOption = None,
    load_point: LoadPointOption = None,
    demand: DemandOption = None,
    latency_limit: LatencyLimitOption = None,
    latency_percentile: LatencyPercentileOption = 99,
    replicas: ReplicasOption = None,
    weight: WeightOption = None,
    optional: OptionalOption = None,
    time_limit: Annotated[float, typer.Option(help="Seconds for each step.")] = 10.0,
    seed: SeedOption = 0,
    allow_unstable: AllowUnstableOption = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write steps and placements as JSON.")
    ] = None,
    plot_path: Annotated[
        Path | None,
        typer.Option("--plot", help="Write the figure: .png, .svg or .pdf."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Show what every number of GPUs, or every budget, yields at best.

    Exit codes: 0 done (with a warning where a step is not proved), 2 bad input,
    3 infeasible, 5 none found within the time limit, and none proved impossible.
    """
    from gpupack.files import write_text
    from gpupack.planning.frontier import frontier

    require_apart({"--json": json_path, "--plot": plot_path}, [source])
    profiles = read_source(source, knowledge)
    found = frontier(
        profiles,
        by=by,
        budgets=budget or None,
        max_points=max_points,
        time_limit_s=time_limit,
        **parse_asked(
            profiles,
            Objective.MAX_THROUGHPUT.value,
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
        write_text(json_path, found.to_json() + "\n")
    if plot_path is not None:
        _write_figure(found.plot(), plot_path)
    if not quiet:
        results.print(str(found), markup=False, soft_wrap=True)
        _print_warnings(found.placements)
    unproved = [
        point for point in found.points if point.status is PlacementStatus.FEASIBLE
    ]
    if unproved:
        print_warning(
            f"{len(unproved)} of {len(found.points)} steps not proved within "
            f"{time_limit:g} s each; raise --time-limit"
        )


def _print_warnings(placements: Sequence[Placement]) -> None:
    """Print each warning once; say of how many steps, where not of all."""
    from gpupack.quoting import printable

    counts = Counter(text for one in placements for text in set(one.warnings))
    for text in dict.fromkeys(text for one in placements for text in one.warnings):
        where = (
            f"{counts[text]} of {len(placements)} steps: "
            if counts[text] < len(placements)
            else ""
        )
        print_warning(where + printable(text))


def _write_figure(figure: object, path: Path) -> None:
    """Write a matplotlib figure in the format of the file's name.

    Raises:
        StoreError: If the file cannot be written, or the format is not known.
    """
    from gpupack.errors import StoreError
    from gpupack.quoting import quoted

    try:
        figure.savefig(path)  # type: ignore[attr-defined]
    except (OSError, ValueError) as err:
        raise StoreError(
            f"cannot write {quoted(str(path))}: {err}; give a path that ends in .png, "
            ".svg or .pdf in a folder that exists"
        ) from err
