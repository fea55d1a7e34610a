"""``gpupack read``: how a file of profiles is understood, before planning with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.console import print_warning, results
from gpupack.cli.options.sources import Knowledge, takes_source_options
from gpupack.cli.outputs import require_apart

if TYPE_CHECKING:
    from gpupack.importers.tables.reading import Reading, SourceReading
    from gpupack.importers.tables.titles.columns import ColumnUse
    from gpupack.planning import Readiness

_MOST_RECORDS = 30
"""Records shown before the rest is only counted."""


@takes_source_options
def read_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A file or folder of profiles: gpupack's, any CSV table, exports of "
            "Model Analyzer, perf_analyzer, GenAI-Perf or AIPerf."
        ),
    ],
    *,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="GPU type that was measured on, where the source does not say: T4, "
            "16GB, or NAME:MIB for any other."
        ),
    ] = None,
    knowledge: Knowledge,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Write the profiles as gpupack's own file."),
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write how it was understood as JSON."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings alone.")
    ] = False,
) -> None:
    """Show how a file is understood: columns, what is missing, what was assumed.

    Exit codes: 0 read, 2 it cannot be.
    """
    from gpupack.files import write_text
    from gpupack.importers.reader import examine
    from gpupack.planning import assumed, readiness
    from gpupack.store import write_profiles

    require_apart({"--to": to, "--json": json_path}, [source])
    reading = examine(source, gpu=gpu, **knowledge)
    goals = readiness(reading.profiles)
    if to is not None:
        write_profiles(reading.profiles, to)
    if json_path is not None:
        write_text(json_path, _json(reading, goals) + "\n")
    if not quiet:
        results.print(_text(reading, goals), markup=False, soft_wrap=True)
    for note in (*reading.profiles.notes, *assumed(reading.profiles)):
        print_warning(note)
    of_records: dict[str, int] = {}
    for record in reading.profiles.records:
        for text in record.warnings:
            of_records[text] = of_records.get(text, 0) + 1
    for text, number in of_records.items():
        print_warning(text if number == 1 else f"{text} ({number} records)")


def _text(reading: Reading, goals: tuple[Readiness, ...]) -> str:
    from gpupack.report.reading import format_columns, format_profiles, format_readiness

    profiles = reading.profiles
    parts = []
    for source in reading.sources:
        parts.append(f"{source.where}: {source.what}, {_count(source.num_rows, 'row')}")
        if source.columns:
            parts.append(format_columns([_row(use, source) for use in source.columns]))
    shown = profiles.records[:_MOST_RECORDS]
    parts.append(format_profiles(shown, profiles.baselines, profiles.failures))
    if len(shown) < len(profiles):
        parts.append(f"and {len(profiles) - len(shown):,} more records")
    parts.append(format_readiness([(one.goal, one.lacking) for one in goals]))
    return "\n\n".join(parts)


def _row(use: ColumnUse, source: SourceReading) -> tuple[str, str, str, str]:
    from gpupack.importers.tables.units import described

    aside = "kept aside" if not use.note.startswith("not ") else "not read"
    if use.wish is not None:
        aside = f"asks for {use.wish.wish}"
    unit = described(use.unit, is_decimal=source.is_decimal) if use.unit else ""
    return use.title, use.field or f"({aside})", unit, use.note


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _json(reading: Reading, goals: tuple[Readiness, ...]) -> str:
    profiles = reading.profiles
    from gpupack.planning import assumed

    return json.dumps(
        {
            "sources": [
                {
                    "where": source.where,
                    "what": source.what,
                    "num_rows": source.num_rows,
                    "columns": [
                        {
                            "title": use.title,
                            "field": use.field,
                            "unit": use.unit,
                            "note": use.note,
                        }
                        for use in source.columns
                    ],
                }
                for source in reading.sources
            ],
            "num_records": len(profiles),
            "num_baselines": len(profiles.baselines),
            "model_names": list(profiles.model_names),
            "notes": list(profiles.notes),
            "assumed": list(assumed(profiles)),
            "lacking": {one.goal: list(one.lacking) for one in goals},
        },
        indent=2,
        ensure_ascii=False,
    )
