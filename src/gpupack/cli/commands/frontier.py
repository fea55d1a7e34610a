"""``gpupack frontier``: what every number of GPUs, or every budget, yields."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.console import log_to_stderr, print_warning, results
from gpupack.cli.options.asked import (
    QuietOption,
    SourceArgument,
    VerboseOption,
    WishReader,
    completed_by,
    read_source,
    takes_wish_options,
)
from gpupack.cli.options.sources import Knowledge, takes_source_options
from gpupack.cli.outputs import is_standard_output, require_apart, write_output
from gpupack.cli.progress import steps_bar
from gpupack.records.placement import Objective, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from gpupack.placement import Placement


FIGURE_KINDS = ("png", "svg", "pdf")
_NUMBER_OR_NAME = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d.,]*")
"""What differs in warnings that say the same of several steps."""


@takes_source_options
@takes_wish_options
def frontier_command(
    source: SourceArgument,
    *,
    knowledge: Knowledge,
    by: Annotated[
        str,
        typer.Option(
            help="gpus, or price for budgets per hour.",
            autocompletion=completed_by(["gpus", "price"]),
        ),
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
    total_time_limit: Annotated[
        float, typer.Option(help="Seconds for the whole frontier.")
    ] = 60.0,
    wishes: WishReader,
    json_path: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write steps and placements as JSON; - prints them."
        ),
    ] = None,
    plot_path: Annotated[
        Path | None,
        typer.Option("--plot", help="Write the figure: .png, .svg or .pdf."),
    ] = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what every number of GPUs, or every budget, yields at best.

    Exit codes: 0 done (with a warning where a step is not proved), 2 bad input,
    3 infeasible, 5 none found within the time limit, and none proved impossible.
    """
    from gpupack.planning import frontier

    if verbose:
        log_to_stderr()
    is_piped = is_standard_output(json_path)
    require_apart({"--json": json_path, "--plot": plot_path}, [source])
    profiles = read_source(source, knowledge)
    request, asked = wishes(profiles, Objective.MAX_THROUGHPUT.value)
    with steps_bar(quiet=quiet) as progress:
        found = frontier(
            profiles,
            request,
            by=by,
            budgets=budget or None,
            max_points=max_points,
            total_time_limit_s=total_time_limit,
            progress=progress,
            **asked,
        )
    if json_path is not None:
        write_output(json_path, found.to_json() + "\n")
    if plot_path is not None:
        _write_figure(found.plot(), plot_path)
    if not quiet and not is_piped:
        results.print(str(found), markup=False, soft_wrap=True)
    _print_warnings(found.placements)
    unproved = [
        placement
        for point, placement in zip(found.steps, found.placements, strict=True)
        if point.status is PlacementStatus.FEASIBLE
    ]
    if unproved:
        print_warning(
            f"{len(unproved)} of {len(found.steps)} steps not proved within "
            + _limit_that_bound(unproved, total_time_limit)
        )


def _limit_that_bound(unproved: Sequence[Placement], total_s: float) -> str:
    """Return in words which limit the longest of these searches ended at."""
    longest = max(unproved, key=lambda one: one.seconds)
    step_s = longest.request.time_limit_s if longest.request else total_s
    if step_s < total_s and longest.seconds >= 0.9 * step_s:
        return f"{step_s:g} s each; raise --time-limit and --total-time-limit"
    return f"{total_s:g} s in all; raise --total-time-limit"


def _print_warnings(placements: Sequence[Placement]) -> None:
    """Print each kind of warning once, and of how many steps it is.

    Steps warn of the same with other numbers and names: one of them stands for all.
    """
    from gpupack.quoting import printable

    if not placements:
        return
    of_all = set.intersection(*(set(one.warnings) for one in placements))
    for text in placements[0].warnings:
        if text in of_all:
            print_warning(printable(text))
    steps: dict[str, set[int]] = {}
    last: dict[str, str] = {}
    for index, placement in enumerate(placements):
        for text in placement.warnings:
            if text in of_all:
                continue
            kind = _NUMBER_OR_NAME.sub("", text)
            steps.setdefault(kind, set()).add(index)
            last[kind] = text
    for kind, found in steps.items():
        texts = {
            text
            for one in placements
            for text in one.warnings
            if text not in of_all and _NUMBER_OR_NAME.sub("", text) == kind
        }
        where = ""
        if len(found) < len(placements) or len(texts) > 1:
            where = f"{len(found)} of {len(placements)} steps"
            where += ", the last of them: " if len(found) > 1 else ": "
        print_warning(where + printable(last[kind]))


def _write_figure(figure: Figure, path: Path) -> None:
    """Write a matplotlib figure in the format of the file's name, whole or not at all.

    Raises:
        StoreError: If the file cannot be written, or the format is not known.
    """
    from gpupack.errors import StoreError
    from gpupack.files import write_bytes
    from gpupack.quoting import quoted

    kind = path.suffix.removeprefix(".").lower()
    if kind not in FIGURE_KINDS:
        raise StoreError(
            f"cannot write {quoted(str(path))}: give a path that ends in .png, .svg or "
            ".pdf in a folder that exists"
        )
    content = io.BytesIO()
    figure.savefig(content, format=kind)
    write_bytes(path, content.getvalue())
