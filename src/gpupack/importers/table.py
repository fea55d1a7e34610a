"""Profiles from any table: one row per model and load point.

gpupack's own column titles (units in the names), in any order:

================================  =============================================
column                            meaning
================================  =============================================
``model_name``                    empty: the row is the server-only baseline
``batch_size``, ``concurrency``   the load point; empty in a baseline row
``request_rate``                  requests sent a second, instead of concurrency
``throughput_infer_per_sec``      completed requests × batch size ÷ seconds
``latency_p50_ms`` … ``_p99_ms``  also p90, p95 and mean
``gpu_utilization_percent``       highest NVML ``utilization.gpu``
``memory_utilization_percent``    highest NVML ``utilization.memory``
``gpu_memory_used_mib``           highest used memory, the server included
``gpu``                           GPU type: a catalogue name or ``NAME:MIB``
================================  =============================================

Other titles are understood as ``gpupack.importers.columns`` says, the published
tables' among them; their "MB" are MiB. Columns that are not understood are kept aside
and named. An apostrophe before a name that begins with ``=``, ``+``, ``-`` or ``@``
says that it is no formula, and is not part of the name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpupack.catalogue import find_gpu_type
from gpupack.errors import GpupackError, ProfileDataError
from gpupack.importers.cells import is_missing
from gpupack.importers.columns import MEANINGS, ColumnUse, Dialect, understand_columns
from gpupack.importers.csv_text import CsvTable, read_csv
from gpupack.importers.guesses import guess_unit
from gpupack.importers.loads import read_load
from gpupack.importers.reading import Reading, SourceReading
from gpupack.importers.values import Numbers, column_numbers, count, style_of
from gpupack.importers.variants import num_instances, variant_of
from gpupack.profile_set import ProfileSet
from gpupack.quoting import printable, quoted, shortened
from gpupack.records.environment import Environment
from gpupack.records.gpu import (
    HOST_NAME_PREFIX,
    UNKNOWN_GPU_TYPE,
    DeviceKind,
    GpuType,
)
from gpupack.records.profile import (
    LoadPoint,
    ModelVariant,
    ProfileRecord,
    ServerBaseline,
)
from gpupack.spreadsheet_cells import cell_text
from gpupack.store import describe_validation_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.importers.cells import NumberStyle

PLAIN = Dialect()
_MAX_SHOWN = 200
"""Letters of a table's titles that a message repeats."""
_SERVER_NAMES = frozenset(
    [
        *("triton-server", "server only", "server-only", "server_only"),
        *("(server only)", "server", "baseline", "server baseline", "idle"),
    ]
)
_TOTAL_NAMES = frozenset(
    [
        *("total", "totals", "grand total", "sum", "average", "avg", "mean"),
        *("gesamt", "summe", "mittelwert", "all", "overall"),
    ]
)
_GPU_FIELDS = (
    "gpu_utilization_percent",
    "memory_utilization_percent",
    "gpu_memory_used_bytes",
)
_COLUMN_OF = {
    "throughput_infer_per_sec": "throughput_infer_per_sec",
    "gpu_memory_used_bytes": "gpu_memory_used_mib",
    **{
        f"latency_{one}_us": f"latency_{one}_ms"
        for one in ("mean", "p50", "p90", "p95", "p99")
    },
}
"""gpupack's title for a reading, where it is not the record's name of it."""


def parse_table(
    text: str, where: str, *, gpu_type: GpuType | None = None
) -> ProfileSet:
    """Return the profiles in a CSV text, as ``read_table`` does."""
    return read_table(text, where, gpu_type=gpu_type).profiles


def read_table(
    text: str,
    where: str,
    *,
    gpu_type: GpuType | None = None,
    model_name: str | None = None,
    batch_size: int | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Reading:
    """Return the profiles in a CSV text, and how its columns were understood.

    Args:
        text: The table, titles first.
        where: Name of the file for messages.
        gpu_type: What the profiles were measured on, for rows that do not say.
        model_name: Of all rows, for a table without such a column.
        batch_size: Of all rows, for a table without such a column.
        columns: What titles mean that are not understood.
        units: By title or quantity, the unit.

    Raises:
        ProfileDataError: Naming row, column and value of what cannot be used.
        InvalidInputError: If ``columns`` or ``units`` cannot be.
    """
    table = read_csv(text, where)
    uses = understand_columns(
        table.titles, where=where, dialect=PLAIN, columns=columns, units=units
    )
    _require_columns(table, uses, model_name, batch_size)
    if not table.rows:
        raise ProfileDataError(f"{where}: the table has no rows")
    num_rows = len(table.rows)
    style = style_of(table, uses)
    uses = [guess_unit(table, use, style) for use in uses]
    content = _Content.of(table, uses, style, model_name, batch_size, gpu_type)
    content = content.without_totals()
    records = _baselines(content) + _records(content)
    notes = [style.note] if style.note else []
    notes += [
        f"{quoted(use.title)}: {use.note}" for use in uses if use.field and use.note
    ]
    aside = [use for use in uses if use.field is None]
    if aside:
        notes.append(f"columns kept aside: {', '.join(map(_aside, aside))}")
    notes += content.notes
    profiles = ProfileSet.of(records).model_copy(
        update={"notes": tuple(f"{where}: {note}" for note in notes)}
    )
    return Reading(profiles, (SourceReading(where, "a table", num_rows, tuple(uses)),))


def _aside(use: ColumnUse) -> str:
    title = quoted(use.title) if use.title else "one without a title"
    return f"{title} ({use.note})" if use.note else title


def _require_columns(
    table: CsvTable,
    uses: Sequence[ColumnUse],
    model_name: str | None,
    batch_size: int | None,
) -> None:
    fields = {use.field for use in uses}
    missing = []
    if "model_name" not in fields and model_name is None:
        missing.append("model_name")
    if "batch_size" not in fields and batch_size is None:
        missing.append("batch_size")
    if not fields & {"concurrency", "requests_per_sec"}:
        missing.append("concurrency")
    if missing:
        raise ProfileDataError(
            f"{table.where}: missing columns {', '.join(missing)}; a table of profiles "
            f"has {', '.join(MEANINGS)} (see 'Read profiles' in the documentation), "
            f"this one has {_titles(table.titles)}; say which of them is meant with "
            f'columns={{"TITLE": "{missing[0]}"}}, or --column TITLE={missing[0]}'
        )


def _titles(titles: Sequence[str]) -> str:
    return shortened(printable(", ".join(titles)), _MAX_SHOWN)


@dataclass(frozen=True)
class _Content:
    """A table's columns by the record's field, and what was noticed."""

    table: CsvTable
    uses: Mapping[str, ColumnUse]
    numbers: Mapping[str, Numbers]
    style: NumberStyle
    names: Sequence[str]
    """Of the models by row; empty for the server alone."""
    batch_size: int | None
    gpu_type: GpuType
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        table: CsvTable,
        uses: Sequence[ColumnUse],
        style: NumberStyle,
        model_name: str | None,
        batch_size: int | None,
        gpu_type: GpuType | None,
    ) -> _Content:
        known = {use.field: use for use in uses if use.field is not None}
        numbers = {
            name: column_numbers(table, use, style, is_decimal=False)
            for name, use in known.items()
            if use.kind is not None
        }
        names = [model_name or ""] * len(table.rows)
        if "model_name" in known:
            names = table.column(known["model_name"].title)
        names = ["" if is_missing(name) else cell_text(name) for name in names]
        return cls(
            table=table,
            uses=known,
            numbers=numbers,
            style=style,
            names=names,
            batch_size=None if "batch_size" in known else batch_size,
            gpu_type=gpu_type or UNKNOWN_GPU_TYPE,
        )

    def cell(self, name: str, index: int) -> str:
        use = self.uses.get(name)
        if use is None:
            return ""
        return self.table.rows[index][self.table.titles.index(use.title)]

    def has_load_point(self, index: int) -> bool:
        return any(
            not is_missing(self.cell(name, index))
            for name in ("batch_size", "concurrency", "requests_per_sec")
        )

    def value(self, name: str, index: int) -> float | None:
        numbers = self.numbers.get(name)
        return None if numbers is None else numbers.values[index]

    def is_server(self, index: int) -> bool:
        name = self.names[index].casefold()
        return not name or (name in _SERVER_NAMES and not self.has_load_point(index))

    def without_totals(self) -> _Content:
        """Return the content without rows that sum up the others."""
        totals = {index for index in range(len(self.names)) if self._is_total(index)}
        if not totals:
            return self
        rows = ", ".join(str(self.table.numbers[index]) for index in sorted(totals))
        kept = [index for index in range(len(self.names)) if index not in totals]
        return replace(
            self,
            table=self.table.only(lambda index: index not in totals),
            names=[self.names[index] for index in kept],
            numbers={
                name: replace(of, values=[of.values[index] for index in kept])
                for name, of in self.numbers.items()
            },
            notes=(*self.notes, f"row {rows} was left out: it sums up the others"),
        )

    def _is_total(self, index: int) -> bool:
        if self.has_load_point(index):
            return False
        name = self.names[index].casefold().strip(":")
        if name in _TOTAL_NAMES:
            return True
        if name:
            return False
        if self.value("throughput_infer_per_sec", index) is not None:
            return True
        memory = self.value("gpu_memory_used_bytes", index)
        if not memory:
            return False
        others = [
            value
            for other, value in enumerate(self.numbers["gpu_memory_used_bytes"].values)
            if other != index and value is not None
        ]
        return len(others) > 1 and math.isclose(memory, sum(others), rel_tol=0.005)


def _baselines(content: _Content) -> list[ServerBaseline]:
    found = []
    environment = Environment(source=f"table {content.table.where}")
    for index in range(len(content.names)):
        if not content.is_server(index):
            continue
        if content.has_load_point(index):
            raise ProfileDataError(
                f"{content.table.row_name(index)}: there is a load point, but "
                f"{content.uses['model_name'].title} is empty; name the model"
            )
        readings = {name: content.value(name, index) for name in _GPU_FIELDS}
        memory = readings["gpu_memory_used_bytes"]
        try:
            found.append(
                ServerBaseline.with_reason(
                    "the table's cell is empty",
                    gpu_type=_gpu_type(content, index, {}),
                    environment=environment,
                    missing={
                        name: _no_column(name)
                        for name in _GPU_FIELDS
                        if name not in content.numbers
                    },
                    **readings
                    | {
                        "gpu_memory_used_bytes": (
                            None if memory is None else math.ceil(memory)
                        )
                    },
                )
            )
        except ValidationError as err:
            raise _cannot_be(content, index, err) from err
    return found


def _no_column(name: str) -> str:
    return f"the table has no column {_COLUMN_OF.get(name, name)}"


def _records(content: _Content) -> list[ProfileRecord]:
    where = content.table.where
    environment = Environment(source=f"table {where}")
    no_column = {
        name: _no_column(name)
        for name in ProfileRecord.readings()
        if name in (*_COLUMN_OF, *_GPU_FIELDS) and name not in content.numbers
    }
    fields = [
        (name, of.values, of.are_requests) for name, of in content.numbers.items()
    ]
    points: dict[tuple[str, ...], LoadPoint] = {}
    gpu_types: dict[str, GpuType] = {}
    reasons: dict[tuple[str, ...], dict[str, str]] = {}
    records = []
    for index, model_name in enumerate(content.names):
        if content.is_server(index):
            continue
        try:
            point = _load_point(content, index, points)
            values: dict[str, float | int | None] = {}
            for name, of_row, are_requests in fields:
                value = of_row[index]
                if value is None:
                    continue
                if are_requests:
                    value *= point.batch_size
                values[name] = value
            memory = values.get("gpu_memory_used_bytes")
            if memory is not None:
                values["gpu_memory_used_bytes"] = math.ceil(memory)
            values |= _instances(content, index)
            present = tuple(values)
            if present not in reasons:
                reasons[present] = {
                    name: no_column.get(name, "the table does not give it")
                    for name in ProfileRecord.readings()
                    if name not in values
                }
            records.append(
                ProfileRecord(
                    model_name=model_name,
                    load_point=point,
                    gpu_type=_gpu_type(content, index, gpu_types),
                    environment=environment,
                    missing=reasons[present],
                    **values,
                )
            )
        except ValidationError as err:
            raise _cannot_be(content, index, err) from err
    return records


def _instances(content: _Content, index: int) -> dict[str, int]:
    cell = content.cell("num_model_instances", index)
    if not is_missing(cell):
        title = content.uses["num_model_instances"].title
        where = f"{content.table.row_name(index)}: {title}"
        return {"num_model_instances": count(cell, where)}
    num_gpu, num_cpu = num_instances(content.cell("instance_group", index))
    num = num_gpu or num_cpu
    return {} if not num else {"num_model_instances": num}


def _load_point(
    content: _Content, index: int, known: dict[tuple[str, ...], LoadPoint]
) -> LoadPoint:
    names = (
        *("batch_size", "concurrency", "requests_per_sec", "variant"),
        *("instance_group", "max_batch_size", "dynamic_batching"),
        "preferred_batch_sizes",
    )
    cells = tuple(content.cell(name, index) for name in names)
    if cells in known:
        return known[cells]
    batch, concurrency, requests, variant, *rest = cells

    def where(name: str) -> str:
        use = content.uses.get(name)
        return f"{content.table.row_name(index)}: {use.title if use else name}"

    found_variant: ModelVariant | None = None
    if not is_missing(variant):
        found_variant = variant_of(
            variant,
            instance_group=rest[0],
            max_batch_size=rest[1],
            dynamic_batching=rest[2],
            preferred_batch_sizes=rest[3],
        )
    if not content.has_load_point(index):
        raise ProfileDataError(
            f"{where('batch_size')} is {quoted(batch)}, and no other cell says how "
            f"{quoted(content.names[index])} was driven; the row of the server alone "
            "has no model name"
        )
    size, in_flight, requests_per_sec = read_load(
        batch_size=batch if content.batch_size is None else content.batch_size,
        concurrency=concurrency if "concurrency" in content.uses else None,
        requests_per_sec=requests if "requests_per_sec" in content.uses else None,
        style=content.style,
        where=where,
    )
    point = LoadPoint(
        batch_size=size,
        concurrency=in_flight,
        requests_per_sec=requests_per_sec,
        variant=found_variant,
    )
    known[cells] = point
    return point


def _gpu_type(content: _Content, index: int, known: dict[str, GpuType]) -> GpuType:
    name = cell_text(content.cell("gpu", index))
    if is_missing(name):
        return content.gpu_type
    if name in known:
        return known[name]
    try:
        gpu_type = find_gpu_type(name)
    except GpupackError as err:
        raise ProfileDataError(f"{content.table.row_name(index)}: {err}") from err
    if name.startswith(HOST_NAME_PREFIX):
        gpu_type = gpu_type.model_copy(update={"kind": DeviceKind.HOST})
    known[name] = gpu_type
    return gpu_type


def _cannot_be(content: _Content, index: int, err: ValidationError) -> ProfileDataError:
    return ProfileDataError(
        f"{content.table.row_name(index)}: {describe_validation_error(err)}"
    )
