"""``gpupack report``: placements as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    placements: Annotated[
        list[Path],
        typer.Argument(
            help="Placements that gpupack wrote; with two or more, each is compared "
            "with the one before it."
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The HTML file to write.")
    ] = Path("report.html"),
) -> None:
    """Write placements as one HTML file that needs no network.

    Exit codes: 0 written, 2 bad input.
    """
    from gpupack.report.html import render_report
    from gpupack.store import read_placement, write_text

    labels = _labels(placements)
    found = [(labels[path], read_placement(path)) for path in placements]
    write_text(output, render_report(found))
    typer.echo(f"Report written to {output}")


def _labels(paths: list[Path]) -> dict[Path, str]:
    """Return a short name per file: its stem, or its path where stems are equal."""
    stems = [path.stem for path in paths]
    return {
        path: path.stem if stems.count(path.stem) == 1 else str(path) for path in paths
    }
