"""Profiles from a plain CSV table.

Columns (units in the names), in any order; only the first three are required:

================================  =============================================
column                            meaning
================================  =============================================
``model_name``                    empty: the row is the server-only baseline
``batch_size``, ``concurrency``   the load point; empty in a baseline row
``throughput_infer_per_sec``      completed requests × batch size ÷ seconds
``latency_p50_ms`` … ``_p99_ms``  also p90 and p95
``gpu_utilization_percent``       highest NVML ``utilization.gpu``
``memory_utilization_percent``    highest NVML ``utilization.memory``
``gpu_memory_used_mib``           highest used memory, the server included
``gpu``                           GPU type: a catalogue name or ``NAME:MIB``
================================  =============================================

The column titles of the published tables are understood too; their "MB" are MiB. An
apostrophe before a name that begins with ``=``, ``+``, ``-`` or ``@`` says that it is
no formula, and is not part of the name.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpupack.errors import GpupackError, ProfileDataError
from gpupack.profile_set import ProfileSet
from gpupack.quoting import listed, printable, quoted, quoted_all, shortened
from gpupack.records.environment import Environment
from gpupack.records.gpu import (
    HOST_NAME_PREFIX,
    UNKNOWN_GPU_TYPE,
    DeviceKind,
    GpuType,
    find_gpu_type,
)
from gpupack.records.profile import LoadPoint, ProfileRecord, ServerBaseline
from gpupack.spreadsheet_cells import cell_text
from gpupack.store import describe_validation_error
from gpupack.units import BYTES_PER_MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_FIELD_BY_TITLE = {
    "model": "model_name",
    "batch": "batch_size",
    "concurrency": "concurrency",
    "throughput": "throughput_infer_per_sec",
    "throughput (infer/sec)": "throughput_infer_per_sec",
    "max memory utilization (%)": "memory_utilization_percent",
    "max gpu utilization (%)": "gpu_utilization_percent",
    "max gpu memory (mb)": "gpu_memory_used_mib",
    "max gpu memory usage (mb)": "gpu_memory_used_mib",
    "p50 latency (ms)": "latency_p50_ms",
    "p90 latency (ms)": "latency_p90_ms",
    "p95 latency (ms)": "latency_p95_ms",
    "p99 latency (ms)": "latency_p99_ms",
    "gpu": "gpu",
}
_REQUIRED = ("model_name", "batch_size", "concurrency")
_NUMBERS = (
    "throughput_infer_per_sec",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "gpu_utilization_percent",
    "memory_utilization_percent",
    "gpu_memory_used_mib",
)
_MAX_DIGITS = 9
"""Of a batch size or a concurrency."""
_MAX_SHOWN = 200
"""Letters of a table's titles that a message repeats."""
_KNOWN = (*_REQUIRED, *_NUMBERS, "gpu")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One data row, its cells by column title, and where it stands."""

    where: str
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """Return the cell without surrounding blanks; empty if there is no such."""
        return self.cells.get(column, "").strip()

    def number(self, column: str, *, scale: float = 1.0) -> float | None:
        """Return the cell × ``scale``, None if it is empty.

        Raises:
            ProfileDataError: If it is no finite number ≥ 0.
        """
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError as err:
            raise ProfileDataError(
                f"{self.where}: {column} is {quoted(text)}, not a number"
            ) from err
        if not math.isfinite(value * scale) or value < 0:
            raise ProfileDataError(
                f"{self.where}: {column} is {shortened(text, 40)}; it must be a finite "
                "number ≥ 0"
            )
        return value * scale

    def whole_number(self, column: str) -> int:
        """Return the cell as a whole number ≥ 1.

        Raises:
            ProfileDataError: If it is anything else.
        """
        text = self.text(column)
        is_short = len(text) <= _MAX_DIGITS
        if not text.isdecimal() or not is_short or int(text) < 1:
            raise ProfileDataError(
                f"{self.where}: {column} is {quoted(text)}; it must be a whole number "
                f"≥ 1 of at most {_MAX_DIGITS} digits"
            )
        return int(text)


def parse_rows(text: str, where: str) -> tuple[tuple[str, ...], list[TableRow]]:
    """Return the column titles and the data rows of a CSV text.

    Raises:
        ProfileDataError: If the table is empty, not CSV, names a column twice, or
            a row has more or fewer cells than there are titles.
    """
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as err:
        raise ProfileDataError(f"{where}: not a CSV table: {err}") from err
    if not lines or not any(lines[0]):
        raise ProfileDataError(f"{where}: the table is empty")
    titles = tuple(title.strip() for title in lines[0])
    repeated = sorted(title for title, n in Counter(titles).items() if n > 1)
    if repeated:
        raise ProfileDataError(f"{where}: columns named twice: {listed(repeated)}")
    return titles, list(_rows(titles, lines[1:], where))


def _rows(
    titles: Sequence[str], lines: Sequence[Sequence[str]], where: str
) -> Iterator[TableRow]:
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(titles):
            raise ProfileDataError(
                f"{where}, row {number}: {len(line)} cells under {len(titles)} titles; "
                "quote cells that hold commas"
            )
        yield TableRow(f"{where}, row {number}", dict(zip(titles, line, strict=True)))


def parse_table(
    text: str, where: str, *, gpu_type: GpuType | None = None
) -> ProfileSet:
    """Return the profiles in a CSV text.

    Args:
        text: The table, titles first.
        where: Name of the file for messages.
        gpu_type: What the profiles were measured on, for tables without ``gpu``.

    Raises:
        ProfileDataError: Naming row, column and value of what cannot be used.
    """
    titles, rows = parse_rows(text, where)
    fields = [_FIELD_BY_TITLE.get(title.casefold(), title) for title in titles]
    if "model_name" not in fields or not {"batch_size", "concurrency"} <= {*fields}:
        missing = [column for column in _REQUIRED if column not in fields]
        raise ProfileDataError(
            f"{where}: missing columns {', '.join(missing)}; a table of profiles has "
            f"{', '.join(_KNOWN)} (see 'Read profiles' in the documentation), this one "
            f"has {_shown(titles)}"
        )
    unknown = [
        title
        for title, field in zip(titles, fields, strict=True)
        if field not in _KNOWN
    ]
    if unknown:
        raise ProfileDataError(
            f"{where}: unknown columns {quoted_all(unknown)}; known are "
            f"{', '.join(_KNOWN)}"
        )
    if not rows:
        raise ProfileDataError(f"{where}: the table has no rows")
    title_of = dict(zip(fields, titles, strict=True))
    renamed = [
        TableRow(
            row.where,
            {field: row.cells[title_of[field]] for field in fields},
        )
        for row in rows
    ]
    absent = tuple(column for column in _NUMBERS if column not in fields)
    environment = Environment(source=f"table {where}")
    records: list[ServerBaseline | ProfileRecord] = []
    for row in renamed:
        try:
            records.append(_record(row, environment, absent, gpu_type))
        except ValidationError as err:
            raise ProfileDataError(
                f"{row.where}: {describe_validation_error(err)}"
            ) from err
    return ProfileSet.of(records)


def _shown(titles: Sequence[str]) -> str:
    """Return a table's titles, and what separates them if it is no comma."""
    text = ", ".join(titles)
    shown = shortened(printable(text, keep="\t"), _MAX_SHOWN)
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if separator in text:
            return (
                f"{shown.replace(separator, ' ')}, separated by {name}: save it with "
                "commas between cells, and points in numbers"
            )
    return shown


def _record(
    row: TableRow,
    environment: Environment,
    absent: Sequence[str],
    default_gpu_type: GpuType | None,
) -> ServerBaseline | ProfileRecord:
    memory = row.number("gpu_memory_used_mib", scale=BYTES_PER_MIB)
    missing = {
        _field_name(column): f"the table has no column {column}" for column in absent
    }
    readings = {
        "gpu_utilization_percent": row.number("gpu_utilization_percent"),
        "memory_utilization_percent": row.number("memory_utilization_percent"),
        "gpu_memory_used_bytes": None if memory is None else math.ceil(memory),
    }
    gpu_type = _gpu_type(row, default_gpu_type)
    model_name = cell_text(row.cells["model_name"])
    if not model_name.strip():
        return ServerBaseline.with_reason(
            "the table's cell is empty",
            gpu_type=gpu_type,
            environment=environment,
            missing={key: why for key, why in missing.items() if key in readings},
            **readings,
        )
    return ProfileRecord.with_reason(
        "the table does not give it",
        model_name=model_name,
        load_point=LoadPoint(
            batch_size=row.whole_number("batch_size"),
            concurrency=row.whole_number("concurrency"),
        ),
        gpu_type=gpu_type,
        environment=environment,
        missing=missing,
        throughput_infer_per_sec=row.number("throughput_infer_per_sec"),
        **{
            f"latency_{percentile}_us": row.number(
                f"latency_{percentile}_ms", scale=1000
            )
            for percentile in ("p50", "p90", "p95", "p99")
        },
        **readings,
    )


def _field_name(column: str) -> str:
    if column == "gpu_memory_used_mib":
        return "gpu_memory_used_bytes"
    return column.replace("_ms", "_us") if column.endswith("_ms") else column


def _gpu_type(row: TableRow, default: GpuType | None) -> GpuType:
    name = cell_text(row.text("gpu"))
    if not name:
        return default or UNKNOWN_GPU_TYPE
    try:
        gpu_type = find_gpu_type(name)
    except GpupackError as err:
        raise ProfileDataError(f"{row.where}: {err}") from err
    if name.startswith(HOST_NAME_PREFIX):
        return gpu_type.model_copy(update={"kind": DeviceKind.HOST})
    return gpu_type
