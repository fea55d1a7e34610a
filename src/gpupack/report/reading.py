"""Profiles as text, and how their source was understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.quoting import printable, printable_name
from gpupack.report.text import format_number
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.records.profile import (
        FailedLoadPoint,
        ProfileRecord,
        ServerBaseline,
    )

ColumnRow = tuple[str, str, str, str]
"""Title, what it is understood as, unit, and a note."""


def format_columns(rows: Sequence[ColumnRow]) -> str:
    """Return a table with one line per column of a source."""
    return tabulate(
        [[printable(cell) for cell in row] for row in rows],
        headers=["column", "understood as", "unit", "note"],
        tablefmt="simple",
        disable_numparse=True,
    )


def format_readiness(goals: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return what can be planned, and what is lacking for the rest, a line each."""
    ready = []
    goals_without: dict[str, list[str]] = {}
    for goal, lacking in goals:
        if not lacking:
            ready.append(goal)
        for text in lacking:
            goals_without.setdefault(text, []).append(goal)
    lines = [f"nothing is missing for {_and(ready)}"] if ready else []
    lines += [
        f"missing for {_and(of_text)}: {printable(text)}"
        for text, of_text in goals_without.items()
    ]
    return "\n".join(lines)


def _and(names: Sequence[str]) -> str:
    """Return names with commas between them, and "and" before the last."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def format_profiles(
    records: Sequence[ProfileRecord],
    baselines: Sequence[ServerBaseline],
    failures: Sequence[FailedLoadPoint],
) -> str:
    """Return a table of profile records, baselines first, failures below."""
    has_widths = any(one.throughput_ci_ratio is not None for one in records)
    has_loads = any(one.num_loads > 1 for one in records)
    rows = [
        [
            *("(server only)", printable_name(baseline.gpu_type.name), "", ""),
            *([""] * (has_widths + has_loads)),
            *("", "", *_readings(baseline)),
        ]
        for baseline in baselines
    ]
    rows += [
        [
            printable_name(record.model_name),
            printable_name(record.gpu_type.name),
            printable_name(str(record.load_point)),
            format_number(record.throughput_infer_per_sec),
            *([_width(record)] if has_widths else []),
            *([str(record.num_loads)] if has_loads else []),
            _milliseconds(record.latency_p50_us),
            _milliseconds(record.latency_p99_us),
            *_readings(record),
        ]
        for record in records
    ]
    headers = [
        *("model", "GPU", "load", "infer/s"),
        *(["± %"] if has_widths else []),
        *(["loads"] if has_loads else []),
        *("p50 ms", "p99 ms", "GPU %", "mem %", "MiB"),
    ]
    table = tabulate(
        rows,
        headers=headers,
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left", "left", "left"] + ["right"] * (len(headers) - 3),
    )
    by_cause: dict[tuple[str, str, str], list[str]] = {}
    for failure in failures:
        message = printable(" ".join(failure.message.split()))
        cause = printable_name(failure.model_name), failure.stage, message
        by_cause.setdefault(cause, []).append(printable_name(str(failure.load_point)))
    failed = [
        f"failed: {model_name} at {', '.join(points)}, {stage}: {message}"
        for (model_name, stage, message), points in by_cause.items()
    ]
    shown = [*records[:1]]
    legend = [
        f"load {one.load_point}: batch size {one.load_point.batch_size}, "
        + (
            f"{one.load_point.concurrency} requests in flight"
            if one.load_point.requests_per_sec is None
            else f"{one.load_point.requests_per_sec:g} requests sent a second"
        )
        for one in shown
    ]
    if has_widths:
        legend.append(
            "± %: half of the 95 % interval of infer/s, ÷ infer/s"
            + ("; where there were several loads, of another load" if has_loads else "")
        )
    if baselines:
        legend.append(
            "(server only): the server with no model loaded; the other rows include it"
        )
    return "\n".join([table, *(["", *legend] if legend else []), *failed])


def _readings(record: ProfileRecord | ServerBaseline) -> list[str]:
    memory = record.gpu_memory_used_bytes
    return [
        format_number(record.gpu_utilization_percent),
        format_number(record.memory_utilization_percent),
        format_number(None if memory is None else mib_from_bytes(memory), 0),
    ]


def _width(record: ProfileRecord) -> str:
    ratio = record.throughput_ci_ratio
    return format_number(None if ratio is None else 100 * ratio, 1)


def _milliseconds(value_us: float | None) -> str:
    return format_number(None if value_us is None else value_us / 1000, 1)
