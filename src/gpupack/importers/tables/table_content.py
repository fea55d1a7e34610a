"""The rows of a table of profiles: models, the server alone, and sums to leave out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.importers.tables.cells import is_missing
from gpupack.importers.tables.units import SERVER_MEMORY, Kind, worth
from gpupack.importers.tables.values import Numbers, column_numbers
from gpupack.quoting import quoted
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.spreadsheet_cells import cell_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.importers.tables.cells import NumberStyle
    from gpupack.importers.tables.layout.csv_text import CsvTable
    from gpupack.importers.tables.titles.columns import ColumnUse

_SERVER_NAMES = frozenset(
    [
        *("triton-server", "server only", "server-only", "server_only"),
        *("(server only)", "server", "baseline", "server baseline", "idle"),
    ]
)
_TOTAL_NAMES = frozenset(
    [
        *("total", "totals", "grand total", "sum", "average", "avg", "mean"),
        *("gesamt", "summe", "mittelwert", "durchschnitt", "all", "overall"),
        *("subtotal", "sub-total", "median", "σ", "∑", "somme", "moyenne", "totale"),
        *("media", "suma", "soma", "totaal", "gemiddelde", "итого", "合计", "合計"),
    ]
)


_LOADS = ("batch_size", "concurrency", "requests_per_sec")


def is_model_name(cell: str) -> bool:
    """Return whether the name in a row is of a model, not of the server or a total."""
    name = "" if is_missing(cell) else cell_text(cell).casefold()
    return (
        bool(name)
        and name not in _SERVER_NAMES
        and (name.strip(":") not in _TOTAL_NAMES)
    )


def is_total_name(cell: str) -> bool:
    """Return whether a row of this name sums up others, as far as names tell."""
    return cell_text(cell).casefold().strip(":") in _TOTAL_NAMES


@dataclass(frozen=True)
class TableContent:
    """A table's columns by the record's field, and what was noticed.

    Args:
        table: The rows.
        uses: How columns were understood, by field.
        numbers: Of the columns that have some, by field.
        style: How numbers are written.
        names: Of the models by row; empty for the server alone.
        batch_size: Of all rows; None where a column says it.
        gpu_type: Of rows that do not say.
        notes: What was left out.
    """

    table: CsvTable
    uses: Mapping[str, ColumnUse]
    numbers: Mapping[str, Numbers]
    style: NumberStyle
    names: Sequence[str]
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
    ) -> TableContent:
        """Return the content of a table whose columns were understood."""
        known = {use.field: use for use in uses if use.field is not None}
        numbers = {
            name: column_numbers(table, use, style, is_decimal=False)
            for name, use in known.items()
            if use.kind is not None
        }
        names: Sequence[str] = [model_name or ""] * len(table.rows)
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

    @cached_property
    def position(self) -> dict[str, int]:
        """Where a field's column is."""
        titles = self.table.titles
        return {name: titles.index(use.title) for name, use in self.uses.items()}

    def cell(self, name: str, index: int) -> str:
        """Return a field's cell, empty if there is no such column."""
        position = self.position.get(name)
        return "" if position is None else self.table.rows[index][position]

    def cell_name(self, name: str, index: int) -> str:
        """Return row and column of a field for messages."""
        use = self.uses.get(name)
        return f"{self.table.row_name(index)}: {use.title if use else name}"

    def has_load_point(self, index: int) -> bool:
        """Return whether a row says anything of how a model was driven."""
        cells = [self.cell(name, index) for name in _LOADS]
        return any(not is_missing(cell) and cell.strip("0.") for cell in cells)

    def value(self, name: str, index: int) -> float | None:
        """Return a field's number, None if there is none."""
        numbers = self.numbers.get(name)
        return None if numbers is None else numbers.values[index]

    def is_server(self, index: int) -> bool:
        """Return whether a row is of the server alone."""
        name = self.names[index].casefold()
        return not name or (name in _SERVER_NAMES and not self.has_load_point(index))

    def with_server_memory(self, unit: str) -> TableContent:
        """Return the content with the memory of the server alone in another unit.

        Raises:
            InvalidInputError: If no row is of the server alone, or its cell has a unit.
        """
        field = "gpu_memory_used_bytes"
        numbers = self.numbers.get(field)
        rows = [one for one in range(len(self.names)) if self.is_server(one)]
        if numbers is None or not rows:
            raise InvalidInputError(
                f"{self.table.where}: a unit is given for {SERVER_MEMORY}, but no row "
                "is of the server alone"
            )
        values = list(numbers.values)
        for row in rows:
            if values[row] is None:
                continue
            number, of_cell = self.style.parse(self.cell(field, row))
            if of_cell and worth(Kind.MEMORY, of_cell) != worth(Kind.MEMORY, unit):
                raise InvalidInputError(
                    f"{self.cell_name(field, row)} is "
                    f"{quoted(self.cell(field, row))}, but its unit is given as {unit}"
                )
            values[row] = number * (worth(Kind.MEMORY, unit) or 1.0)
        changed = {field: replace(numbers, values=values)}
        return replace(self, numbers={**self.numbers, **changed})

    def without_totals(self) -> TableContent:
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
        name = self.names[index].casefold().strip(":")
        if name in _TOTAL_NAMES:
            return not self.has_load_point(index) or self._sums_up(index)
        if name or self.has_load_point(index):
            return False
        if self.value("throughput_infer_per_sec", index) is not None:
            return True
        memory = self.value("gpu_memory_used_bytes", index)
        if not memory:
            return False
        number, total = self._memory_of_models
        return number > 1 and math.isclose(memory, total, rel_tol=0.005)

    def _sums_up(self, index: int) -> bool:
        """Return whether a row with a load is the sum, or the average, of the others.

        Spreadsheets fill in every column, the batch size too.
        """
        for name in ("throughput_infer_per_sec", "gpu_memory_used_bytes"):
            numbers = self.numbers.get(name)
            value = self.value(name, index)
            if numbers is None or value is None:
                continue
            others = [
                one
                for row, one in enumerate(numbers.values)
                if one is not None and self.names[row].casefold() not in _TOTAL_NAMES
            ]
            if not others:
                continue
            total = math.fsum(others)
            for expected in (total, total / len(others)):
                if math.isclose(value, expected, rel_tol=0.005):
                    return True
        return False

    @cached_property
    def _memory_of_models(self) -> tuple[int, float]:
        """How many rows of models have memory, and how much in all."""
        values = [
            value
            for value, name in zip(
                self.numbers["gpu_memory_used_bytes"].values, self.names, strict=True
            )
            if value is not None and name
        ]
        return len(values), math.fsum(values)
