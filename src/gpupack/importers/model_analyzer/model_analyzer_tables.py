"""Profiles from the exports of NVIDIA's Triton Model Analyzer.

``metrics-model-inference.csv`` has throughput and latency; ``metrics-model-gpu.csv``
memory and *average* GPU utilization; ``metrics-server-only.csv`` the baseline. Given
a folder, the three are joined. Titles are those of any release, with or without "Max"
and "Average", or its tags (``perf_throughput``, ``gpu_used_memory``).

The configurations that it searched are variants of one model: the model's name stays,
and the variant is part of the load point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, ProfileDataError
from gpupack.importers.agreement.memory_units import require_one_unit
from gpupack.importers.model_analyzer.model_analyzer_rows import (
    MODEL_ANALYZER,
    SERVER_NAME,
    TableKind,
    TableRows,
    read_table_rows,
)
from gpupack.importers.model_analyzer.model_analyzer_search import Search
from gpupack.importers.tables.layout.csv_text import first_titles
from gpupack.importers.tables.reading import Reading, SourceReading
from gpupack.importers.tables.titles.columns import require_used, understand
from gpupack.importers.tables.units import SERVER_MEMORY, unit_of_server
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_HEAD = 10_000
"""Letters of a table that are looked at; a machine has few GPUs."""
_OWN_FIELDS = frozenset(
    ["variant", "satisfies_constraints", "instance_group", "gpu_uuid"]
)
"""Columns that only Model Analyzer's tables have; one says that it is one."""


def is_model_analyzer_table(text: str) -> bool:
    """Say whether a table is Model Analyzer's, by its titles and what it names.

    A table whose only rows are of the server alone is; people's own tables name it
    between their models.
    """
    titles = first_titles(text)
    fields = {understand(title, MODEL_ANALYZER).field for title in titles}
    if "model_name" in fields or "variant" in fields:
        if fields & _OWN_FIELDS and _is_own(titles):
            return True
        rows = text[:_HEAD].strip().splitlines()[1:]
        return bool(rows) and all(
            row.startswith(f"{SERVER_NAME},") or f",{SERVER_NAME}," in row
            for row in rows
        )
    return False


def _is_own(titles: Sequence[str]) -> bool:
    """Say whether a title is spelled as Model Analyzer spells it, or is its tag."""
    folded = {title.casefold().replace("_", " ") for title in titles}
    return bool(
        folded & {"model config path", "satisfies constraints", "gpu uuid"}
        or ({"instance group"} & folded and {"max batch size"} & folded)
    )


def parse_model_analyzer(
    texts: Mapping[str, str],
    *,
    gpu_type: GpuType | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Reading:
    """Join Model Analyzer's tables into profiles.

    Args:
        texts: CSV texts by file name; which table each is, its titles say.
        gpu_type: What was measured on; the exports only have its UUID.
        columns: What titles mean that are not understood.
        units: By title or quantity, the unit.

    Raises:
        ProfileDataError: Naming file, row, column and value of what cannot be used; or
            all that there is was measured of several models at the same time.
    """
    tables = [
        read_table_rows(text, where, columns=columns, units=units)
        for where, text in texts.items()
    ]
    of_columns, server_unit = unit_of_server(units or {})
    if server_unit is not None and all(
        one.kind is not TableKind.SERVER for one in tables
    ):
        raise InvalidInputError(
            f"{', '.join(texts)}: a unit is given for {SERVER_MEMORY}, but no table is "
            "of the server alone"
        )
    require_used(columns or {}, of_columns, {one.where: one.uses for one in tables})
    return join(tables, gpu_type=gpu_type)


def join(tables: Sequence[TableRows], *, gpu_type: GpuType | None = None) -> Reading:
    """Return the profiles in rows of one search.

    Raises:
        ProfileDataError: As ``parse_model_analyzer`` does.
    """
    wheres = ", ".join(table.where for table in tables)
    by_kind = {kind: [one for one in tables if one.kind is kind] for kind in TableKind}
    search = Search.of(by_kind, gpu_type or UNKNOWN_GPU_TYPE)
    records = search.records()
    baseline = search.baseline()
    if not records:
        _require_rows(tables, wheres)
    doubts = require_one_unit(
        records, [] if baseline is None else [baseline], source=wheres
    )
    notes = [*_left_out(tables), *search.notes, *_not_understood(tables), *doubts]
    notes += [note for table in tables for note in table.notes]
    profiles = ProfileSet(
        records=tuple(records),
        baselines=() if baseline is None else (baseline,),
        notes=tuple(notes),
    )
    if not records and baseline is None:
        raise ProfileDataError(
            f"{wheres}: the table has no rows" if tables else "it holds no measurement"
        )
    return Reading(
        profiles,
        tuple(
            SourceReading(
                table.where,
                f"Model Analyzer's table of {table.kind.value}",
                table.num_rows,
                table.uses,
                is_decimal=True,
            )
            for table in tables
        ),
    )


def _require_rows(tables: Sequence[TableRows], wheres: str) -> None:
    """Raise what there is to say where no row is a model's own.

    Raises:
        ProfileDataError: If rows were measured together, or satisfy no constraint.
    """
    together = [row for table in tables for row in table.together]
    if together:
        raise ProfileDataError(
            f"{together[0].where}: {' and '.join(together[0].models)} were measured "
            "together, at the same time on the same GPU: that is what each reaches "
            "beside the other, not its own profile, and its memory is that of both. "
            "Profile each model alone (not run_config_profile_models_concurrently); "
            "beside those profiles, gpupack calibrate takes this export as evidence of "
            "what sharing costs"
        )
    of_models = [one.where for one in tables if one.kind is not TableKind.SERVER]
    if of_models and not any(one.num_rows for one in tables if one.where in of_models):
        raise ProfileDataError(
            f"{', '.join(of_models)}: titles without a row: the search was stopped "
            "before it measured a model; run it again"
        )
    if any(table.num_failing for table in tables):
        raise ProfileDataError(
            f"{wheres}: no row satisfies its constraints (Satisfies Constraints is No "
            "in all of them); relax the constraints and search again"
        )


def _left_out(tables: Sequence[TableRows]) -> list[str]:
    notes = []
    failing: dict[str, int] = {}
    for table in tables:
        for model, number in table.num_failing.items():
            failing[model] = max(number, failing.get(model, 0))
    for model, number in failing.items():
        rows = "1 row" if number == 1 else f"{number} rows"
        notes.append(
            f"{rows} of {quoted(model)} left out: the constraints are not satisfied"
        )
    num_together = max((len(table.together) for table in tables), default=0)
    if num_together:
        notes.append(
            f"{num_together} rows left out: several models measured at the same time "
            "are no profiles of one; gpupack calibrate takes them"
        )
    return notes


def _not_understood(tables: Sequence[TableRows]) -> list[str]:
    return [
        f"{table.where}: not understood, and kept aside: "
        + ", ".join(
            quoted(use.title) + (f" ({use.note})" if use.note else "")
            for use in unknown
        )
        for table in tables
        if (unknown := [one for one in table.uses if one.looks_like_reading])
    ]
