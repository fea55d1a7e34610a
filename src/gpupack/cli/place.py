"""``gpupack place``: decide, print, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.console import print_warning, results
from gpupack.errors import InvalidInputError
from gpupack.records.placement import Objective, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        str, typer.Option(help="min_gpus or max_throughput.")
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
        typer.Option(help="GPU type: 16GB, T4, A100-80GB, or NAME:MIB for any other."),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(help="How many there are; as many as needed if left out."),
    ] = None,
    load_point: Annotated[
        str | None,
        typer.Option(help="Batch size × concurrency to plan with, such as 2x4."),
    ] = None,
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
        gpus=_supply(gpu, gpus),
        headroom=_headroom(objective, headroom or []),
        load_point=load_point,
        min_retention=_min_retention(min_retention or [], profiles.model_names),
        sharing=sharing,
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
    if placement.status is PlacementStatus.FEASIBLE:
        print_warning(
            f"not proved within {time_limit:g} s: {placement.num_gpus} GPUs found, at "
            f"least {placement.bound:g} needed; raise --time-limit"
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


def _supply(gpu: str | None, count: int | None) -> str | int | tuple[str, int] | None:
    if gpu is None:
        return count
    return gpu if count is None else (gpu, count)


def _headroom(objective: str, options: list[str]) -> HeadroomLike:
    """Return what the ``--headroom`` options mean together."""
    from gpupack.planning.headroom import overlay_headroom, resolve_objective

    overall: float | None = None
    named: dict[str, float] = {}
    for option in options:
        resource, equals, text = option.rpartition("=")
        try:
            share = float(text)
        except ValueError as err:
            raise InvalidInputError(
                f"--headroom {option!r}: the share that may be used is a number, such "
                "as 0.8 or memory=0.9"
            ) from err
        if (equals and resource in named) or (not equals and overall is not None):
            raise InvalidInputError(f"--headroom {option!r}: given twice")
        if equals:
            named[resource] = share
        else:
            overall = share
    return overlay_headroom(resolve_objective(objective), overall, named)


def _min_retention(
    options: list[str], model_names: Sequence[str]
) -> dict[str, float] | None:
    """Return what the ``--min-retention`` options mean together."""
    overall: float | None = None
    named: dict[str, float] = {}
    for option in options:
        name, equals, text = option.rpartition("=")
        try:
            share = float(text)
        except ValueError as err:
            raise InvalidInputError(
                f"--min-retention {option!r}: the share to keep is a number, such as "
                "0.9 or resnet50=0.9"
            ) from err
        if (equals and name in named) or (not equals and overall is not None):
            raise InvalidInputError(f"--min-retention {option!r}: given twice")
        if equals:
            named[name] = share
        else:
            overall = share
    if overall is None:
        return named or None
    return dict.fromkeys(model_names, overall) | named
