"""What a source of profiles holds, and how it was understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.catalogue import MEMORY_MIB_BY_NAME
from gpupack.planning import readiness
from gpupack.quoting import printable, printable_name
from gpupack.records.gpu import UNKNOWN_GPU_TYPE
from gpupack.records.record import Record
from gpupack.report.palette import style_by_model
from gpupack.report.text import format_number
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from gpupack.importers.tables.reading import Reading
    from gpupack.importers.tables.titles.columns import ColumnUse
    from gpupack.profile_set import ProfileSet


class ColumnView(Record):
    """How one column was understood."""

    title: str
    meaning: str
    unit: str
    note: str


class ReadSourceView(Record):
    """One file of a source."""

    where: str
    what: str
    num_rows: int
    columns: tuple[ColumnView, ...]


class KnownModel(Record):
    """A model of the profiles."""

    name: str
    shown: str
    """The name with what cannot be printed escaped."""
    color: int
    hatch: int
    load_points: tuple[str, ...]
    most: str
    """The most infer/sec that one replica was measured at; empty if none was."""
    most_infer_per_sec: float | None


class KnownGpuType(Record):
    """A GPU type that was measured on, or that may be planned with."""

    name: str
    shown: str
    memory: str
    is_measured: bool


class SourceView(Record):
    """Profiles as the page knows them."""

    data_id: str
    name: str
    models: tuple[KnownModel, ...]
    gpu_types: tuple[KnownGpuType, ...]
    num_records: int
    sources: tuple[ReadSourceView, ...]
    lacking: dict[str, tuple[str, ...]]
    """By objective, what is missing for it."""
    notes: tuple[str, ...]


def source_view(
    data_id: str, name: str, profiles: ProfileSet, reading: Reading | None
) -> SourceView:
    """Return what profiles hold.

    Args:
        data_id: By which the page names them.
        name: Of the source.
        profiles: What was read.
        reading: How it was understood; None for a built-in example.
    """
    styles = style_by_model(profiles.model_names)
    points: dict[str, dict[str, None]] = {}
    most: dict[str, float] = {}
    ordered = sorted(profiles.records, key=lambda one: one.load_point.sort_key)
    for record in ordered:
        of_model = record.model_name
        points.setdefault(of_model, {})[str(record.load_point)] = None
        rate = record.throughput_infer_per_sec
        if rate is not None:
            most[of_model] = max(rate, most.get(of_model, 0.0))
    measured = {
        one.name: one
        for one in profiles.gpu_types
        # It stands for whichever type is planned with.
        if one.name != UNKNOWN_GPU_TYPE.name
    }
    return SourceView(
        data_id=data_id,
        name=printable(name),
        models=tuple(
            KnownModel(
                name=one,
                shown=printable(one),
                color=styles[one].color_index,
                hatch=styles[one].hatch_index,
                load_points=tuple(points[one]),
                most=format_number(most.get(one)),
                most_infer_per_sec=most.get(one),
            )
            for one in profiles.model_names
        ),
        gpu_types=(
            *(
                KnownGpuType(
                    name=one.name,
                    shown=printable_name(one.name),
                    memory=""
                    if one.memory_bytes is None
                    else f"{format_number(mib_from_bytes(one.memory_bytes), 0)} MiB",
                    is_measured=True,
                )
                for one in measured.values()
            ),
            *(
                KnownGpuType(
                    name=one,
                    shown=one,
                    memory=f"{format_number(mib, 0)} MiB",
                    is_measured=False,
                )
                for one, mib in MEMORY_MIB_BY_NAME.items()
                if one not in measured
            ),
        ),
        num_records=len(profiles),
        sources=() if reading is None else _sources(reading),
        lacking={
            one.goal: tuple(map(printable, one.lacking))
            for one in readiness(profiles)
            if one.lacking
        },
        notes=tuple(map(printable, profiles.notes)),
    )


def _sources(reading: Reading) -> tuple[ReadSourceView, ...]:
    from gpupack.importers.tables.units import described

    def column(use: ColumnUse, *, is_decimal: bool) -> ColumnView:
        aside = "not read" if use.note.startswith("not ") else "kept aside"
        return ColumnView(
            title=printable(use.title),
            meaning=use.field or f"({aside})",
            unit=described(use.unit, is_decimal=is_decimal) if use.unit else "",
            note=printable(use.note),
        )

    return tuple(
        ReadSourceView(
            where=printable(one.where),
            what=one.what,
            num_rows=one.num_rows,
            columns=tuple(
                column(use, is_decimal=one.is_decimal) for use in one.columns
            ),
        )
        for one in reading.sources
    )
