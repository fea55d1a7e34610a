"""The readings of profile records as table columns; those nobody took are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.quoting import printable
from gpupack.records.profile import RecordOrigin
from gpupack.report.text import format_number
from gpupack.units import BYTES_PER_MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import ProfileRecord


@dataclass(frozen=True, slots=True)
class MeasurementColumn:
    """One reading: how its column is headed and its values are written."""

    field: str
    title: str
    hint: str = ""
    divisor: float = 1.0
    """From the record's unit to the one shown."""
    digits: int = 1

    @property
    def is_numeric(self) -> bool:
        """Whether it is a number rather than yes or no."""
        return not (self.field.startswith("is_") or self.field == "origin")

    def text(self, record: ProfileRecord) -> str:
        """Return the reading for people, a dash where it is missing."""
        value = getattr(record, self.field)
        if isinstance(value, RecordOrigin):
            if record.scaled_from is not None:
                return f"{value.value} from {printable(record.scaled_from)}"
            return value.value
        if value is None:
            return "–"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return format_number(value / self.divisor, self.digits)


_COLUMNS = (
    MeasurementColumn("throughput_infer_per_sec", "infer/s"),
    MeasurementColumn(
        "throughput_ci_ratio",
        "± %",
        hint="half-width of the 95 % confidence interval of infer/s",
        divisor=0.01,
    ),
    MeasurementColumn("latency_p50_us", "p50, ms", divisor=1000, digits=2),
    MeasurementColumn("latency_p90_us", "p90, ms", divisor=1000, digits=2),
    MeasurementColumn("latency_p99_us", "p99, ms", divisor=1000, digits=2),
    MeasurementColumn(
        "gpu_utilization_percent",
        "GPU %",
        hint="highest share of time with at least one kernel running",
    ),
    MeasurementColumn(
        "memory_utilization_percent",
        "Memory %",
        hint="highest share of time in which device memory was read or written",
    ),
    MeasurementColumn(
        "sm_utilization_percent",
        "SM %",
        hint="mean share of streaming multiprocessors in use",
    ),
    MeasurementColumn(
        "gpu_memory_used_bytes",
        "Used, MiB",
        hint="highest used device memory, the server included",
        divisor=BYTES_PER_MIB,
        digits=0,
    ),
    MeasurementColumn("origin", "Origin", hint="measured, or how it was estimated"),
    MeasurementColumn("is_stable", "Settled", hint="whether the stopping rule was met"),
)


def known_columns(records: Sequence[ProfileRecord]) -> list[MeasurementColumn]:
    """Return the columns that some record has a value for."""
    return [
        column
        for column in _COLUMNS
        if any(
            getattr(record, column.field) not in (None, RecordOrigin.MEASURED)
            for record in records
        )
    ]
