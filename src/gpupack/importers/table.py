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

Other titles are understood as ``gpupack.importers.tables.titles`` says, the published
tables' among them; their "MB" are MiB. Columns that are not understood are kept aside
and named. An apostrophe before a name that begins with ``=``, ``+``, ``-`` or ``@``
says that it is no formula, and is not part of the name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpupack.errors import ProfileDataError
from gpupack.importers.agreement.memory_units import require_one_unit
from gpupack.importers.agreement.repeats import joined_baselines, joined_repeats
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.gpu_cells import gpu_type_of, require_one_gpu
from gpupack.importers.tables.guesses import guess_unit
from gpupack.importers.tables.layout.csv_text import CsvTable, read_csv
from gpupack.importers.tables.loads import (
    note_on_both_loads,
    read_load,
    with_assumed_load,
)
from gpupack.importers.tables.reading import Reading, SourceReading
from gpupack.importers.tables.record_maker import RecordMaker
from gpupack.importers.tables.table_content import TableContent, is_model_name
from gpupack.importers.tables.titles.columns import (
    AS_GIVEN,
    UNIT_FIELD,
    WISH_NOTE,
    ColumnUse,
    Dialect,
    understand_columns,
)
from gpupack.importers.tables.titles.required_columns import require_columns
from gpupack.importers.tables.titles.unit_columns import with_units_in_cells
from gpupack.importers.tables.units import unit_of_server
from gpupack.importers.tables.values import count, readings_by_row, style_of
from gpupack.importers.tables.variants import num_instances, variant_of
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted, quoted_all
from gpupack.record_lines import describe_validation_error
from gpupack.records.environment import Environment
from gpupack.records.gpu import (
    GpuType,
)
from gpupack.records.profile import (
    LoadPoint,
    ModelVariant,
    ProfileRecord,
    ServerBaseline,
)
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


PLAIN = Dialect()
WISHES_NOTE = (
    "columns with wishes about models, asked for where the file itself is planned for: "
)
"""Begins the note on such columns."""
_GPU_FIELDS = (
    "gpu_utilization_percent",
    "memory_utilization_percent",
    "gpu_memory_used_bytes",
)
_SERVER_FIELDS = (*_GPU_FIELDS, "host_memory_bytes")
"""What is read of the server alone."""
_BYTE_FIELDS = ("gpu_memory_used_bytes", "host_memory_bytes")
_LOAD_FIELDS = (
    *("batch_size", "concurrency", "requests_per_sec", "variant", "instance_group"),
    *("max_batch_size", "dynamic_batching", "preferred_batch_sizes"),
    "num_model_instances",
)
_COLUMN_OF = {
    "throughput_infer_per_sec": "throughput_infer_per_sec",
    "gpu_memory_used_bytes": "gpu_memory_used_mib",
    "host_cpu_cores": "host_cpu_cores",
    "host_memory_bytes": "host_memory_mib",
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
    units, server_unit = unit_of_server(units or {})
    uses = understand_columns(
        table.titles, where=where, dialect=PLAIN, columns=columns, units=units
    )
    num_titles = len(uses)
    loaded = with_assumed_load(
        table, uses, is_model_name, model_name=model_name, batch_size=batch_size
    )
    if loaded is not None:
        table = loaded.table
        uses = understand_columns(
            table.titles, where=where, dialect=PLAIN, columns=columns, units=units
        )
    require_columns(table, uses, model_name, batch_size)
    if not table.rows:
        raise ProfileDataError(f"{where}: the table has no rows")
    num_rows = len(table.rows)
    table, uses = with_units_in_cells(table, uses)
    style = style_of(table, uses)
    guessed_from = table if server_unit is None else _of_models(table, uses)
    uses = [guess_unit(guessed_from, use, style) for use in uses]
    content = TableContent.of(table, uses, style, model_name, batch_size, gpu_type)
    content = content.without_totals()
    if server_unit is not None:
        content = content.with_server_memory(server_unit)
    baselines = _baselines(content)
    records, repeats = _records(content)
    notes_on = require_one_unit(records, baselines, source=where)
    notes = [*table.notes, *([style.note] if style.note else [])]
    if loaded is not None:
        notes.append(loaded.note)
        uses = uses[:num_titles]
    notes += [
        f"{quoted(use.title)}: {use.note}"
        for use in uses
        if use.field
        and use.note
        and not use.note.endswith(AS_GIVEN)
        and not use.field.startswith(UNIT_FIELD)
    ]
    wishes = [use for use in uses if use.note.startswith(WISH_NOTE)]
    if wishes:
        notes.append(WISHES_NOTE + quoted_all([use.title for use in wishes]))
    aside = [use for use in uses if use.field is None and use not in wishes]
    if aside:
        notes.append(f"columns kept aside: {', '.join(map(_aside, aside))}")
    notes += [*content.notes, *repeats, *notes_on]
    profiles = ProfileSet(
        records=tuple(records),
        baselines=tuple(baselines),
        notes=tuple(f"{where}: {note}" for note in notes),
    )
    return Reading(profiles, (SourceReading(where, "a table", num_rows, tuple(uses)),))


def _of_models(table: CsvTable, uses: Sequence[ColumnUse]) -> CsvTable:
    """Return the rows of models: the server alone is in another unit."""
    title = next((use.title for use in uses if use.field == "model_name"), None)
    if title is None:
        return table
    names = table.column(title)
    return table.only(lambda index: is_model_name(names[index]))


def _aside(use: ColumnUse) -> str:
    title = quoted(use.title) if use.title else "one without a title"
    return f"{title} ({use.note})" if use.note else title


def _baselines(content: TableContent) -> list[ServerBaseline]:
    found = []
    rows = []
    environment = Environment(source=f"table {content.table.where}")
    for index in range(len(content.names)):
        if not content.is_server(index):
            continue
        if content.has_load_point(index):
            raise ProfileDataError(
                f"{content.table.row_name(index)}: there is a load point, but "
                f"{content.uses['model_name'].title} is empty; name the model"
            )
        rows.append(index)
        readings = {name: content.value(name, index) for name in _SERVER_FIELDS}
        for name in _BYTE_FIELDS:
            value = readings[name]
            readings[name] = None if value is None else math.ceil(value)
        try:
            found.append(
                ServerBaseline.with_reason(
                    "the table's cell is empty",
                    gpu_type=gpu_type_of(content, index, {}),
                    environment=environment,
                    missing={
                        name: _no_column(name)
                        for name in _SERVER_FIELDS
                        if name not in content.numbers
                    },
                    **readings,
                )
            )
        except ValidationError as err:
            raise _cannot_be(content, index, err) from err
    return joined_baselines(
        found,
        where=lambda index: f"row {content.table.numbers[rows[index]]}",
        source=content.table.where,
    )


def _no_column(name: str) -> str:
    return f"the table has no column {_COLUMN_OF.get(name, name)}"


def _records(content: TableContent) -> tuple[list[ProfileRecord], list[str]]:
    """Return a record for each load point, and what to say of repeated rows."""
    environment = Environment(source=f"table {content.table.where}")
    missing = {
        name: _no_column(name)
        for name in ProfileRecord.readings()
        if name in (*_COLUMN_OF, *_GPU_FIELDS) and name not in content.numbers
    }
    of_requests = [name for name, of in content.numbers.items() if of.are_requests]
    maker = RecordMaker("the table does not give it")
    driven: Sequence[tuple[str, ...]] = [()] * len(content.names)
    positions = [
        content.position[name] for name in _LOAD_FIELDS if name in content.position
    ]
    if positions:
        driven = list(zip(*map(content.table.column_at, positions), strict=True))
    numbers = readings_by_row(
        {name: one.values for name, one in content.numbers.items()}, len(content.names)
    )
    points: dict[tuple[str, ...], tuple[LoadPoint, dict[str, int]]] = {}
    gpu_types: dict[str, GpuType] = {}
    records = []
    indices = []
    has_count = "num_gpus" in content.uses
    for index, (model_name, values) in enumerate(
        zip(content.names, numbers, strict=True)
    ):
        if content.is_server(index):
            continue
        indices.append(index)
        if has_count:
            require_one_gpu(content, index)
        cells = driven[index]
        if cells not in points:
            points[cells] = (
                _load_point(content, index, maker),
                _instances(content, index),
            )
        point, instances = points[cells]
        for name in of_requests:
            if name in values:
                values[name] *= point.batch_size
        for name in _BYTE_FIELDS:
            if name in values:
                values[name] = math.ceil(values[name])
        values |= instances
        try:
            records.append(
                maker.record(
                    model_name=model_name,
                    load_point=point,
                    gpu_type=gpu_type_of(content, index, gpu_types),
                    environment=environment,
                    values=values,
                    missing=missing,
                )
            )
        except ValidationError as err:
            raise _cannot_be(content, index, err) from err

    def where(index: int) -> str:
        return f"row {content.table.numbers[indices[index]]}"

    records, notes = joined_repeats(
        records,
        where=where,
        source=content.table.where,
        hint=lambda alike: _what_differs(content, [indices[one] for one in alike]),
    )
    both = note_on_both_loads(content)
    return records, [*notes, both] if both else notes


def _what_differs(content: TableContent, rows: Sequence[int]) -> str:
    """Return which column that was kept aside tells rows of one load point apart."""
    for position, title in enumerate(content.table.titles):
        cells = {content.table.rows[row][position]: None for row in rows}
        is_used = position in content.position.values()
        if title and len(cells) == len(rows) and not is_used:
            return (
                f", or, if {quoted(title)} ({quoted_all(list(cells))}) tells "
                f"configurations of the model apart, say "
                + setting(
                    "columns",
                    python=f"{{{quoted(title)}: 'variant'}}",
                    shell=f"{quoted(title)}=variant",
                )
            )
    return ""


def _instances(content: TableContent, index: int) -> dict[str, int]:
    cell = content.cell("num_model_instances", index)
    if not is_missing(cell):
        where = content.cell_name("num_model_instances", index)
        return {"num_model_instances": count(cell, where)}
    num_gpu, num_cpu = num_instances(content.cell("instance_group", index))
    num = num_gpu or num_cpu
    return {} if not num else {"num_model_instances": num}


def _load_point(content: TableContent, index: int, maker: RecordMaker) -> LoadPoint:
    def where(name: str) -> str:
        return content.cell_name(name, index)

    def cell(name: str) -> str:
        return content.cell(name, index)

    if not content.has_load_point(index):
        raise ProfileDataError(
            f"{where('batch_size')} is {quoted(cell('batch_size'))}, and no other cell "
            f"says how {quoted(content.names[index])} was driven; the row of the "
            "server alone has no model name"
        )
    variant: ModelVariant | None = None
    if not is_missing(cell("variant")):
        variant = variant_of(
            cell("variant"),
            instance_group=cell("instance_group"),
            max_batch_size=cell("max_batch_size"),
            dynamic_batching=cell("dynamic_batching"),
            preferred_batch_sizes=cell("preferred_batch_sizes"),
        )
    load = read_load(
        batch_size=(
            cell("batch_size") if content.batch_size is None else content.batch_size
        ),
        concurrency=cell("concurrency") if "concurrency" in content.uses else None,
        requests_per_sec=(
            cell("requests_per_sec") if "requests_per_sec" in content.uses else None
        ),
        style=content.style,
        where=where,
    )
    return maker.load_point(load, variant)


def _cannot_be(
    content: TableContent, index: int, err: ValidationError
) -> ProfileDataError:
    return ProfileDataError(
        f"{content.table.row_name(index)}: {describe_validation_error(err)}"
    )
