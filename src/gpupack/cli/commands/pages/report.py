"""``gpupack report`` and ``gpupack compare``: placements set beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.outputs import is_standard_output, require_apart, write_output
from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from gpupack.trade_off import Frontier


_RIGHTSIZING = "rightsizing"
EXIT_DIFFERENT = 1
"""As diff does."""


def report_command(
    placements: Annotated[
        list[Path],
        typer.Argument(
            help="Placements that gpupack wrote; with two or more, each is compared "
            "with the one before it. Or what gpupack rightsize --json wrote, alone."
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The HTML file to write; - prints it."),
    ] = Path("report.html"),
    frontier: Annotated[
        Path | None,
        typer.Option(help="What gpupack frontier --json wrote, to be drawn as well."),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say of the last placement what binds, why, and what would help; "
            "takes up to 25 s.",
        ),
    ] = False,
) -> None:
    """Write placements as one HTML file that needs no network.

    Exit codes: 0 written, 2 bad input.
    """
    from gpupack.store import kind_of_file

    require_apart({"--output": output}, [*placements, frontier])
    kinds = [kind_of_file(path) for path in placements]
    if _RIGHTSIZING in kinds:
        if len(placements) > 1 or frontier is not None or explain:
            raise InvalidInputError(
                f"{placements[kinds.index(_RIGHTSIZING)]} says what would do for what "
                "runs, which is a page of its own: give no other file, --frontier or "
                "--explain with it"
            )
        page = _page_of_rightsizing(placements[0])
    else:
        page = _page_of_placements(placements, frontier, explain=explain)
    write_output(output, page)
    if not is_standard_output(output):
        typer.echo(f"Report written to {output}")


def _page_of_rightsizing(path: Path) -> str:
    from gpupack.records.running.rightsizing import RightsizingRecord
    from gpupack.report.page.html import render_rightsizing
    from gpupack.store import read_one

    return render_rightsizing(read_one(path, _RIGHTSIZING, RightsizingRecord))


def _page_of_placements(
    placements: list[Path], frontier: Path | None, *, explain: bool
) -> str:
    from gpupack.report.page.html import render_report
    from gpupack.store import read_placement

    labels = _labels(placements)
    found = [(labels[path], read_placement(path)) for path in placements]
    trade_off = None if frontier is None else _read_frontier(frontier)
    explanation = found[-1][1].explain() if explain else None
    return render_report(found, frontier=trade_off, explanation=explanation)


def compare_command(
    before: Annotated[Path, typer.Argument(help="A placement that gpupack wrote.")],
    after: Annotated[Path, typer.Argument(help="Another, to compare with it.")],
    *,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write the comparison as JSON; - prints it."),
    ] = None,
    markdown_path: Annotated[
        Path | None,
        typer.Option(
            "--markdown",
            help="Write it as Markdown, such as for a pull request; - prints it.",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print nothing: the exit code says it."),
    ] = False,
) -> None:
    """Say what differs between two placements: GPUs, cost, and model by model.

    GPUs are matched by what is on them, so that renumbering is no change.

    Exit codes: 0 they are equal, 1 they differ, 2 bad input.
    """
    from gpupack.cli.console import results
    from gpupack.comparison import compare
    from gpupack.store import read_placement

    outputs = {"--json": json_path, "--markdown": markdown_path}
    require_apart(outputs, [before, after])
    found = compare(read_placement(before), read_placement(after))
    if json_path is not None:
        write_output(json_path, found.to_json() + "\n")
    if markdown_path is not None:
        write_output(markdown_path, found.to_markdown())
    if not quiet and not any(map(is_standard_output, outputs.values())):
        results.print(str(found), markup=False, soft_wrap=True)
    if not found.is_equal:
        raise typer.Exit(EXIT_DIFFERENT)


def _labels(paths: list[Path]) -> dict[Path, str]:
    """Return a short name per file: its stem, or its path where stems are equal."""
    stems = [path.stem for path in paths]
    return {
        path: path.stem if stems.count(path.stem) == 1 else str(path) for path in paths
    }


def _read_frontier(path: Path) -> Frontier:
    from gpupack.store import read_one
    from gpupack.trade_off import Frontier

    return read_one(
        path, "frontier", Frontier, way_out="gpupack frontier --json writes one"
    )
