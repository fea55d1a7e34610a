# Long because the three tables differ in their titles alone, and are read as one.
"""The rows of Model Analyzer's tables: what was measured, before they are joined."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.layout.csv_text import notes_of, read_csv
from gpupack.importers.tables.loads import Load, read_load
from gpupack.importers.tables.table_content import is_total_name
from gpupack.importers.tables.titles.columns import (
    ColumnUse,
    Dialect,
    understand_columns,
)
from gpupack.importers.tables.titles.unit_columns import with_units_in_cells
from gpupack.importers.tables.units import unit_of_server
from gpupack.importers.tables.values import column_numbers, readings_by_row, style_of
from gpupack.quoting import listed, quoted
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.importers.tables.layout.csv_text import CsvTable

MODEL_ANALYZER = Dialect(
    memory_unit="mb",
    is_decimal=True,
    time_unit="ms",
    share_unit="percent",
    bare_utilization="mean",
)
"""Its "MB" are 10⁶ bytes, its memory the highest seen, its utilization the average."""
SERVER_NAME = "triton-server"
_LOAD_FIELDS = ("batch_size", "concurrency", "requests_per_sec")
_GPU_FIELDS = frozenset(
    [
        *("gpu_memory_used_bytes", "gpu_utilization_percent"),
        *("gpu_utilization_mean_percent", "memory_utilization_percent"),
        *("memory_utilization_mean_percent", "power_mean_watts", "gpu_uuid"),
    ]
)
_INFERENCE_FIELDS = frozenset(
    [
        *("throughput_infer_per_sec", "latency_mean_us", "latency_p50_us"),
        *("latency_p90_us", "latency_p95_us", "latency_p99_us", "server_queue_us"),
        *("server_compute_input_us", "server_compute_infer_us"),
        "server_compute_output_us",
    ]
)
_ATTRIBUTES = (
    *("instance_group", "max_batch_size", "dynamic_batching"),
    "preferred_batch_sizes",
)
_YES, _NO = frozenset(["yes", "true"]), frozenset(["no", "false"])
_SHARES = re.compile(r"\[([^\[\]]*)\]")


class TableKind(Enum):
    """Which of the three tables it is."""

    INFERENCE = "throughput and latency"
    GPU = "GPU readings"
    SERVER = "the server alone"


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class MeasuredRow(NamedTuple):
    """One row of a table; there may be hundreds of thousands.

    Args:
        source: Where it stands: the file, or the place in it.
        model: The model's name; of the server alone, empty.
        variant: Its configuration as the table says it; empty if it does not.
        load: How it was driven; None for the server alone.
        gpu_uuid: Empty if the table does not say.
        values: By the record's field.
        attributes: What is said of the configuration, by field.
        row_number: As a spreadsheet counts; None if the source is no table.
    """

    source: str
    model: str
    variant: str = ""
    load: Load | None = None
    gpu_uuid: str = ""
    values: Mapping[str, float] = _NOTHING
    attributes: Mapping[str, str] = _NOTHING
    row_number: int | None = None

    @property
    def where(self) -> str:
        """Where it stands, for messages."""
        if self.row_number is None:
            return self.source
        return f"{self.source}, row {self.row_number}"


@dataclass(frozen=True, slots=True)
class TogetherRow:
    """Models that were measured at the same time, one entry each."""

    where: str
    models: tuple[str, ...]
    variants: tuple[str, ...]
    loads: tuple[Load, ...]
    throughputs: tuple[float, ...]
    """Infer/sec of each; empty if the table does not say."""
    groups: tuple[str, ...] = ()
    """Instance groups of each; empty if the table does not say."""
    sizes: tuple[str, ...] = ()
    """Largest batch sizes of each; empty if the table does not say."""


@dataclass(frozen=True)
class TableRows:
    """One table, understood.

    Args:
        where: Name of its file.
        kind: Which table it is.
        uses: How its columns were understood.
        rows: Of one model each, those that satisfy their constraints.
        together: Of several models each.
        num_failing: Rows by model that do not satisfy their constraints.
        num_rows: In all.
        notes: What there is to say of the file.
    """

    where: str
    kind: TableKind
    uses: tuple[ColumnUse, ...]
    rows: tuple[MeasuredRow, ...]
    together: tuple[TogetherRow, ...] = ()
    num_failing: Mapping[str, int] = field(default_factory=dict)
    num_rows: int = 0
    notes: tuple[str, ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """What its columns are understood as."""
        return frozenset(use.field for use in self.uses if use.field is not None)


def read_table_rows(
    text: str,
    where: str,
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> TableRows:
    """Return the rows of one of Model Analyzer's tables.

    Raises:
        ProfileDataError: Naming file, row, column and value of what cannot be used.
        InvalidInputError: If ``columns`` or ``units`` cannot be.
    """
    table = read_csv(text, where)
    of_columns, server_unit = unit_of_server(units or {})

    def understood(given: Mapping[str, str]) -> tuple[ColumnUse, ...]:
        return tuple(
            understand_columns(
                table.titles,
                where=where,
                dialect=MODEL_ANALYZER,
                columns=columns,
                units=given,
                is_one_of_several=True,
            )
        )

    uses = understood(of_columns)
    if server_unit is not None and _is_of_server(table, uses):
        uses = understood(of_columns | {"memory": server_unit})
    table, applied = with_units_in_cells(table, uses)
    uses = tuple(applied)
    title_of = {use.field: use.title for use in uses if use.field is not None}
    cells = {name: table.column(title) for name, title in title_of.items()}
    kind = _kind(title_of, cells)
    if kind is not TableKind.SERVER:
        _require_load(table, title_of)
    num_failing: dict[str, int] = {}
    failing = set()
    models = _models(table, cells)
    for index, told in enumerate(cells.get("satisfies_constraints", ())):
        answer = told.casefold()
        if answer not in _YES and answer not in _NO and not is_missing(told):
            raise ProfileDataError(
                f"{table.row_name(index)}: {title_of['satisfies_constraints']} is "
                f"{quoted(told)}; Model Analyzer writes Yes or No"
            )
        if answer in _NO:
            failing.add(index)
            num_failing[models[index]] = num_failing.get(models[index], 0) + 1
    totals = set() if kind is TableKind.SERVER else _totals(table, cells)
    several = (
        set() if kind is TableKind.SERVER else _of_several(cells) - failing - totals
    )
    left_out = failing | several | totals
    solo = table.only(lambda index: index not in left_out)
    return TableRows(
        where=where,
        kind=kind,
        uses=uses,
        rows=tuple(_rows(solo, uses, kind)),
        together=tuple(_together(table, cells, index) for index in sorted(several)),
        num_failing=num_failing,
        num_rows=len(table.rows),
        notes=(*notes_of(table), *_told_of(table, totals)),
    )


def _totals(table: CsvTable, cells: Mapping[str, Sequence[str]]) -> set[int]:
    """Return which rows sum up the others: spreadsheets add them."""
    variants = cells.get("variant", [""] * len(table.rows))
    return {
        index
        for index, (model, variant) in enumerate(
            zip(_models(table, cells), variants, strict=True)
        )
        if is_total_name(model) and (is_missing(variant) or variant == model)
    }


def _told_of(table: CsvTable, totals: set[int]) -> tuple[str, ...]:
    if not totals:
        return ()
    rows = listed([str(table.numbers[index]) for index in sorted(totals)])
    return (f"{table.where}: row {rows} was left out: it sums up the others",)


def _is_of_server(table: CsvTable, uses: Sequence[ColumnUse]) -> bool:
    title_of = {use.field: use.title for use in uses if use.field is not None}
    cells = {name: table.column(title) for name, title in title_of.items()}
    return _kind(title_of, cells) is TableKind.SERVER


def _kind(title_of: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> TableKind:
    names = {one.casefold() for one in cells.get("model_name", ())}
    has_load = any(name in title_of for name in (*_LOAD_FIELDS, "variant"))
    if names == {SERVER_NAME} or not has_load:
        return TableKind.SERVER
    if not title_of.keys() & _INFERENCE_FIELDS and title_of.keys() & _GPU_FIELDS:
        return TableKind.GPU
    return TableKind.INFERENCE


def _require_load(table: CsvTable, title_of: Mapping[str, str]) -> None:
    missing = []
    if "batch_size" not in title_of:
        missing.append(("Batch", "batch_size"))
    if not {"concurrency", "requests_per_sec"} & title_of.keys():
        missing.append(("Concurrency", "concurrency, or request_rate"))
    if missing:
        raise ProfileDataError(
            f"{table.where}: missing columns {', '.join(one for one, _ in missing)}; "
            "let Model Analyzer write them (its output fields "
            f"{' and '.join(tag for _, tag in missing)}), or say which column is meant "
            f"({setting('columns')})"
        )


def _models(table: CsvTable, cells: Mapping[str, Sequence[str]]) -> Sequence[str]:
    names = cells.get("model_name") or cells.get("variant")
    return names or [""] * len(table.rows)


def _of_several(cells: Mapping[str, Sequence[str]]) -> set[int]:
    """Return which rows are of several models that ran at the same time."""
    found = {
        index
        for name in _LOAD_FIELDS
        for index, cell in enumerate(cells.get(name, ()))
        if "," in cell
    }
    variants = cells.get("variant", ())
    models = cells.get("model_name", ()) if variants else ()
    # The variants of an ensemble's models stand behind a colon.
    return found | {
        index
        for index, model in enumerate(models)
        if "," in model
        and ":" not in variants[index]
        and variants[index].count(",") == model.count(",")
    }


def _rows(
    table: CsvTable, uses: Sequence[ColumnUse], kind: TableKind
) -> Iterable[MeasuredRow]:
    style = style_of(table, uses)
    found = {
        use.field: column_numbers(
            table, use, style, is_decimal=MODEL_ANALYZER.is_decimal
        )
        for use in uses
        if use.field is not None and use.kind is not None
    }
    numbers = {name: of.values for name, of in found.items()}
    of_requests = [name for name, of in found.items() if of.are_requests]
    position = {use.field: index for index, use in enumerate(uses) if use.field}
    title_of = {use.field: use.title for use in uses if use.field}

    def cell(row: Sequence[str], name: str) -> str:
        index = position.get(name)
        text = "" if index is None else row[index]
        return "" if is_missing(text) else text

    def optional_cell(row: Sequence[str], name: str) -> str | None:
        return row[position[name]] if name in position else None

    def cells_of(names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        found = [table.column_at(position[name]) for name in names if name in position]
        return list(zip(*found, strict=True)) if found else [()] * len(table.rows)

    attributes: dict[tuple[str, ...], dict[str, str]] = {}
    loads: dict[tuple[str, ...], Load] = {}
    variants = _texts(table, position.get("variant"))
    models = variants
    if "model_name" in position:
        models = _texts(table, position["model_name"])
    uuids = _texts(table, position.get("gpu_uuid"))
    of_rows = readings_by_row(numbers, len(table.rows))
    of_all = (table.numbers, models, variants, uuids, of_rows)
    load: Load | None = None
    for index, (driven, described, number, model, variant, uuid, readings) in enumerate(
        zip(cells_of(_LOAD_FIELDS), cells_of(_ATTRIBUTES), *of_all, strict=True)
    ):
        if kind is not TableKind.SERVER:
            load = loads.get(driven)
            if load is None:
                row = table.rows[index]
                load = loads[driven] = read_load(
                    batch_size=cell(row, "batch_size"),
                    concurrency=optional_cell(row, "concurrency"),
                    requests_per_sec=optional_cell(row, "requests_per_sec"),
                    style=style,
                    where=partial(_cell_name, table, index, title_of),
                )
            if not model:
                raise ProfileDataError(f"{table.row_name(index)}: Model is empty")
            for name in of_requests:
                if name in readings:
                    readings[name] *= load[0]
        told = attributes.get(described)
        if told is None:
            row = table.rows[index]
            told = attributes[described] = {
                name: text for name in _ATTRIBUTES if (text := cell(row, name))
            }
        yield MeasuredRow(
            table.where, model, variant, load, uuid, readings, told, number
        )


def _texts(table: CsvTable, position: int | None) -> Sequence[str]:
    """Return the cells of a column; empty where there is no value or no column."""
    if position is None:
        return [""] * len(table.rows)
    cells = table.column_at(position)
    missing = {cell for cell in {*cells} if is_missing(cell)}
    return ["" if cell in missing else cell for cell in cells] if missing else cells


def _cell_name(
    table: CsvTable, index: int, title_of: Mapping[str, str], name: str
) -> str:
    return f"{table.row_name(index)}: {title_of.get(name, name)}"


def _together(
    table: CsvTable, cells: Mapping[str, Sequence[str]], index: int
) -> TogetherRow:
    where = table.row_name(index)

    def parts(name: str) -> list[str]:
        if name not in cells:
            return []
        return [one.strip() for one in cells[name][index].split(",")]

    models = parts("model_name") or parts("variant")
    sizes, concurrencies, rates = (parts(name) for name in _LOAD_FIELDS)
    loads: list[Load] = []
    for number in range(len(models)):
        size = _nth(sizes, number)
        concurrency, requests = _nth(concurrencies, number), _nth(rates, number)
        try:
            loads.append(
                (
                    int(size),
                    int(concurrency) if concurrency else None,
                    None if concurrency else float(requests),
                )
            )
        except ValueError as err:
            raise ProfileDataError(
                f"{where}: models that were measured together, but their batch sizes "
                f"and loads are {quoted(', '.join(sizes))} and "
                f"{quoted(', '.join(concurrencies or rates))}: one number for each of "
                f"{', '.join(models)} is wanted"
            ) from err
    throughputs: tuple[float, ...] = ()
    found = _SHARES.search(
        cells.get("throughput_infer_per_sec", [""] * (index + 1))[index]
    )
    if found is not None:
        try:
            throughputs = tuple(float(one) for one in found[1].split(","))
        except ValueError:
            throughputs = ()
    return TogetherRow(
        where=where,
        models=tuple(models),
        variants=tuple(parts("variant")),
        loads=tuple(loads),
        throughputs=throughputs if len(throughputs) == len(models) else (),
        groups=tuple(parts("instance_group")),
        sizes=tuple(parts("max_batch_size")),
    )


def _nth(parts: Sequence[str], index: int) -> str:
    """Return the part of one model; a single one holds for all of them."""
    if len(parts) == 1:
        return parts[0]
    return parts[index] if index < len(parts) else ""
