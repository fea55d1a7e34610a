"""Profiles from the tables of perf_analyzer (its option ``-f``), merged ones too.

It names neither the model nor the batch size: they are columns where somebody merged
several tables under them, and are given by the caller or assumed otherwise. Throughput
is in inferences per second, so that the batch size is only a label; times are in
microseconds, memory in bytes and utilization a share of 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpupack.errors import ProfileDataError
from gpupack.importers.agreement.memory_units import require_one_unit
from gpupack.importers.agreement.repeats import joined_repeats
from gpupack.importers.model_analyzer.model_analyzer_gpus import Baselines, gpu_use
from gpupack.importers.model_analyzer.model_analyzer_rows import MeasuredRow
from gpupack.importers.perf_analyzer.gaps import (
    DEFAULT_BATCH_SIZE,
    assumptions,
    environment,
    missing_gpu_readings,
    rate_warnings,
)
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.layout.csv_text import (
    CsvTable,
    first_titles,
    notes_of,
    read_csv,
)
from gpupack.importers.tables.loads import Load, read_load
from gpupack.importers.tables.reading import Reading, SourceReading
from gpupack.importers.tables.record_maker import RecordMaker
from gpupack.importers.tables.titles.columns import Dialect, understand_columns
from gpupack.importers.tables.titles.unit_columns import with_units_in_cells
from gpupack.importers.tables.values import column_numbers, readings_by_row, style_of
from gpupack.importers.tables.variants import variant_of
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted, quoted_all
from gpupack.record_lines import describe_validation_error
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import ProfileRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpupack.importers.tables.titles.columns import ColumnUse


PERF_ANALYZER = Dialect(
    memory_unit="bytes",
    is_decimal=True,
    time_unit="us",
    share_unit="ratio",
    bare_utilization="mean",
)
_LOAD_FIELDS = ("batch_size", "concurrency", "requests_per_sec")
_THROUGHPUT = "inferences/second"
_OF_ALL_GPUS = frozenset(
    [
        *("throughput_infer_per_sec", "gpu_utilization_mean_percent"),
        *("latency_mean_us", "latency_p50_us", "latency_p90_us", "latency_p95_us"),
        *("latency_p99_us", "power_mean_watts", "server_queue_us"),
        *("server_compute_input_us", "server_compute_infer_us"),
        "server_compute_output_us",
    ]
)
"""Readings that hold for all GPUs of a model together."""


def is_perf_analyzer_table(text: str) -> bool:
    """Say whether a table is perf_analyzer's, by its titles."""
    return _THROUGHPUT in {title.casefold() for title in first_titles(text)}


def parse_perf_analyzer_csv(
    text: str,
    where: str,
    *,
    model_name: str | None,
    default_name: str,
    batch_size: int | None = None,
    gpu_type: GpuType | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Reading:
    """Return the profiles in a CSV that perf_analyzer wrote.

    Args:
        text: The table.
        where: Name of the file for messages.
        model_name: Of all rows; None takes the column, or else ``default_name``.
        default_name: Of the model where nothing names it.
        batch_size: Of all rows; None takes the column, or else the default.
        gpu_type: What was measured on.
        columns: What titles mean that are not understood.
        units: By title or quantity, the unit.

    Raises:
        ProfileDataError: Naming row, column and value of what cannot be used.
    """
    table = read_csv(text, where)
    uses = understand_columns(
        table.titles, where=where, dialect=PERF_ANALYZER, columns=columns, units=units
    )
    table, uses = with_units_in_cells(table, uses)
    title_of = {use.field: use.title for use in uses if use.field is not None}
    if not {"concurrency", "requests_per_sec"} & title_of.keys():
        raise ProfileDataError(
            f"{where}: missing column Concurrency, or Request Rate; perf_analyzer "
            "writes one of them (--concurrency-range, --request-rate-range)"
        )
    if not table.rows:
        raise ProfileDataError(f"{where}: the table has no rows")
    rows = _Rows(table, uses, model_name, default_name, batch_size)
    notes = []
    if rows.unknown:
        notes.append(f"columns kept aside: {quoted_all(rows.unknown)}")
    records = [
        rows.record(index, gpu_type or UNKNOWN_GPU_TYPE, values)
        for index, values in enumerate(rows.readings())
    ]
    records, repeats = joined_repeats(
        records,
        where=lambda index: f"row {table.numbers[index]}",
        source=where,
    )
    notes += repeats
    require_one_unit(records, (), source=where)
    return Reading(
        ProfileSet(
            records=tuple(records),
            notes=(*(f"{where}: {one}" for one in notes), *notes_of(table)),
        ),
        (SourceReading(where, "perf_analyzer's table", len(table.rows), tuple(uses)),),
    )


class _Rows:
    """The rows of a table, read one at a time."""

    def __init__(
        self,
        table: CsvTable,
        uses: Sequence[ColumnUse],
        model_name: str | None,
        default_name: str,
        batch_size: int | None,
    ) -> None:
        self.table = table
        self.uses = {use.field: use for use in uses if use.field is not None}
        self.position = {use.field: index for index, use in enumerate(uses)}
        self.texts = {
            name: ["" if is_missing(cell) else cell for cell in table.column_at(place)]
            for name in (*_LOAD_FIELDS, "model_name", "variant")
            if (place := self.position.get(name)) is not None
        }
        self.model_name = model_name
        self.default_name = default_name
        self.batch_size = batch_size
        self.maker = RecordMaker("perf_analyzer's export does not give it")
        self.style = style_of(table, uses)
        per_gpu = {
            use.field
            for use in uses
            if use.field is not None
            and use.kind is not None
            and any(";" in cell or ":" in cell for cell in table.column(use.title))
        }
        self.per_gpu = {
            name: self._values_per_gpu(self.uses[name]) for name in sorted(per_gpu)
        }
        self.loads: dict[tuple[str | None, ...], Load] = {}
        self.warnings: dict[tuple[str | None, float | None], tuple[str, ...]] = {}
        self.unknown: Sequence[str] = [
            use.title for use in uses if use.field is None and not use.note
        ]
        self.numbers = {
            use.field: column_numbers(
                table, use, self.style, is_decimal=PERF_ANALYZER.is_decimal
            ).values
            for use in uses
            if use.field is not None
            and use.kind is not None
            and use.field not in per_gpu
        }

    def readings(self) -> Iterator[dict[str, float]]:
        """Yield the numbers of each row that are of no single GPU."""
        return readings_by_row(self.numbers, len(self.table.rows))

    def cell(self, name: str, index: int) -> str | None:
        """Return a cell, empty if it has no value; None if there is no such column."""
        column = self.texts.get(name)
        return None if column is None else column[index]

    def where(self, name: str, index: int) -> str:
        use = self.uses.get(name)
        return f"{self.table.row_name(index)}: {use.title if use else name}"

    def load(self, index: int) -> Load:
        """Return how a row was driven; rows that say the same share it."""
        cells = tuple([self.cell(name, index) for name in _LOAD_FIELDS])
        if cells not in self.loads:
            self.loads[cells] = self._read_load(index)
        return self.loads[cells]

    def _read_load(self, index: int) -> Load:
        of_column = self.cell("batch_size", index)
        size: str | int = of_column or DEFAULT_BATCH_SIZE
        if self.batch_size is not None:
            size = self.batch_size
        load = read_load(
            batch_size=size,
            concurrency=self.cell("concurrency", index),
            requests_per_sec=self.cell("requests_per_sec", index),
            style=self.style,
            where=lambda name: self.where(name, index),
        )
        if of_column and self.batch_size not in (None, _whole(of_column)):
            raise ProfileDataError(
                f"{self.where('batch_size', index)} is {quoted(of_column)}, but the "
                f"batch size is given as {self.batch_size}; leave it out"
            )
        return load

    def record(
        self, index: int, gpu_type: GpuType, values: dict[str, float]
    ) -> ProfileRecord:
        of_column = self.cell("batch_size", index)
        load = self.load(index)
        if (of_column, load[2]) not in self.warnings:
            size = _whole(of_column) if of_column else self.batch_size
            self.warnings[of_column, load[2]] = (
                *assumptions(size, self.unknown),
                *rate_warnings(load[2]),
            )
        variant = self.cell("variant", index)
        readings, missing, gpu_uuid = self._readings(index, values)
        if "gpu_memory_used_bytes" in readings:
            readings["gpu_memory_used_bytes"] = round(readings["gpu_memory_used_bytes"])
        try:
            return self.maker.record(
                model_name=(
                    self.model_name
                    or self.cell("model_name", index)
                    or self.default_name
                ),
                load_point=self.maker.load_point(
                    load, variant_of(variant) if variant else None
                ),
                gpu_type=gpu_type,
                environment=environment(self.table.where, gpu_uuid=gpu_uuid),
                warnings=self.warnings[of_column, load[2]],
                missing=missing,
                values=readings,
            )
        except ValidationError as err:
            raise ProfileDataError(
                f"{self.table.row_name(index)}: {describe_validation_error(err)}"
            ) from err

    def _readings(
        self, index: int, values: dict[str, float]
    ) -> tuple[dict[str, float], dict[str, str], str | None]:
        """Return a row's readings, why some lack, and the GPU that they are of."""
        of_gpus: dict[str, dict[str, float]] = {}
        for name, of_rows in self.per_gpu.items():
            for uuid, value in of_rows[index]:
                of_gpus.setdefault(uuid, {})[name] = value
        if not of_gpus:
            return values, missing_gpu_readings(values), None
        if len(of_gpus) == 1:
            ((uuid, one),) = of_gpus.items()
            values |= one
            return values, missing_gpu_readings(values), uuid
        use = gpu_use(
            [
                MeasuredRow("", "", gpu_uuid=uuid, values=one)
                for uuid, one in of_gpus.items()
            ],
            Baselines({}, None),
        )
        values |= use.values
        missing = missing_gpu_readings(values)
        if len(use.gpu_uuids) > 1:
            reason = (
                f"it was served by {len(use.gpu_uuids)} GPUs together "
                f"({', '.join(use.gpu_uuids)}); what one of them gives is not known"
            )
            missing |= {name: reason for name in _OF_ALL_GPUS if name in values}
            values = {
                name: one for name, one in values.items() if name not in _OF_ALL_GPUS
            }
        return values, missing, use.gpu_uuids[0] if len(use.gpu_uuids) == 1 else None

    def _values_per_gpu(self, use: ColumnUse) -> list[list[tuple[str, float]]]:
        """Return the values of ``uuid:value;uuid:value;`` by row."""
        place = self.table.titles.index(use.title)
        rows, uuids = [], []
        cells: list[tuple[str]] = []
        for index, row in enumerate(self.table.rows):
            for entry in row[place].split(";"):
                uuid, _, text = entry.rpartition(":")
                text = text.strip()
                if not is_missing(text):
                    rows.append(index)
                    uuids.append(uuid.strip())
                    cells.append((text,))
        of_entries = replace(
            self.table,
            titles=(use.title,),
            rows=cells,
            numbers=[self.table.numbers[index] for index in rows],
        )
        numbers = column_numbers(of_entries, use, self.style, is_decimal=True)
        found: list[list[tuple[str, float]]] = [[] for _ in self.table.rows]
        for index, uuid, value in zip(rows, uuids, numbers.values, strict=True):
            assert value is not None  # it is not missing
            found[index].append((uuid, value))
        return found


def _whole(cell: str) -> int | None:
    text = cell.removesuffix(".0")
    return int(text) if text.isdecimal() and len(text) < 10 else None
