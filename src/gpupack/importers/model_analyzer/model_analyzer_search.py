"""A search of Model Analyzer: its tables' rows joined into records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpupack.errors import ProfileDataError
from gpupack.importers.model_analyzer.model_analyzer_configs import (
    Setups,
    told_of_repeats,
)
from gpupack.importers.model_analyzer.model_analyzer_gpus import Baselines, gpu_use
from gpupack.importers.model_analyzer.model_analyzer_rows import (
    MeasuredRow,
    TableKind,
    TableRows,
)
from gpupack.importers.tables.record_maker import RecordMaker
from gpupack.quoting import quoted, quoted_all
from gpupack.record_lines import describe_validation_error
from gpupack.records.environment import Environment
from gpupack.records.profile import (
    ProfileRecord,
    ServerBaseline,
)
from gpupack.spelling import setting

if TYPE_CHECKING:
    from gpupack.importers.tables.loads import Load
    from gpupack.records.gpu import GpuType

INFERENCE_FILE = "metrics-model-inference.csv"
GPU_FILE = "metrics-model-gpu.csv"
SERVER_FILE = "metrics-server-only.csv"

_AVERAGE_ONLY = (
    "Model Analyzer reports the average GPU utilization, not the highest; measure the "
    "model with gpupack profile"
)
_NO_MEMORY_UTILIZATION = (
    "Model Analyzer does not report memory utilization; measure the model with gpupack "
    "profile"
)
_NOT_GIVEN = "Model Analyzer's export does not give it"
_NO_GPU_TABLE = f"{INFERENCE_FILE} has no GPU readings; give {GPU_FILE} beside it"
_NO_INFERENCE_TABLE = f"{GPU_FILE} has no throughput; give {INFERENCE_FILE} beside it"
_RATES = (
    *("throughput_infer_per_sec", "latency_mean_us", "latency_p50_us"),
    *("latency_p90_us", "latency_p95_us", "latency_p99_us", "server_queue_us"),
    *("server_compute_input_us", "server_compute_infer_us"),
    *("server_compute_output_us", "gpu_utilization_mean_percent"),
    *("gpu_utilization_percent", "power_mean_watts"),
)
"""Readings that hold for all GPUs of a model together."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
Key = tuple[str, str, "Load"]
"""Model, variant as the table says it, and load."""


@dataclass
class Search:
    """The rows of one search, by what they are of.

    Args:
        inference: Throughput and latency.
        gpu_rows: GPU readings, by the GPU's UUID within a key.
        server: The server alone.
        baselines: What it takes.
        gpu_type: What was measured on.
        has_inference_table: Whether there is a table of throughput.
        gpu_tables: Tables of GPU readings.
        is_in_step: Whether both tables have the same rows in the same order.
        source: Who measured, and in which files it stands.
        notes: What was noticed.
    """

    inference: Mapping[Key, Sequence[MeasuredRow]]
    gpu_rows: Mapping[Key, Mapping[str, Sequence[MeasuredRow]]]
    server: Sequence[MeasuredRow]
    baselines: Baselines
    gpu_type: GpuType
    has_inference_table: bool
    gpu_tables: Sequence[TableRows]
    is_in_step: bool
    source: str
    notes: list[str] = field(default_factory=list)
    _setups: Setups = field(default_factory=Setups)
    _missing: dict[object, dict[str, str]] = field(default_factory=dict)
    _maker: RecordMaker = field(default_factory=lambda: RecordMaker(_NOT_GIVEN))

    @classmethod
    def of(
        cls, by_kind: Mapping[TableKind, Sequence[TableRows]], gpu_type: GpuType
    ) -> Search:
        """Return the search of these tables."""
        inference: dict[Key, list[MeasuredRow]] = defaultdict(list)
        gpu_rows: dict[Key, dict[str, list[MeasuredRow]]] = {}
        orders: dict[str, list[Key]] = defaultdict(list)
        order: list[Key] = []
        for table in by_kind[TableKind.INFERENCE]:
            for row in table.rows:
                key = _key(row)
                inference[key].append(row)
                order.append(key)
        for table in by_kind[TableKind.GPU]:
            for row in table.rows:
                key = _key(row)
                of_key = gpu_rows.setdefault(key, {})
                of_key.setdefault(row.gpu_uuid, []).append(row)
                orders[row.gpu_uuid].append(key)
        server = [row for one in by_kind[TableKind.SERVER] for row in one.rows]
        wheres = [one.where for tables in by_kind.values() for one in tables]
        return cls(
            inference=inference,
            gpu_rows=gpu_rows,
            server=server,
            baselines=Baselines.of(server),
            gpu_type=gpu_type,
            has_inference_table=bool(by_kind[TableKind.INFERENCE]),
            gpu_tables=by_kind[TableKind.GPU],
            is_in_step=all(one == order for one in orders.values()),
            source="Model Analyzer export " + " and ".join(dict.fromkeys(wheres)),
        )

    def baseline(self) -> ServerBaseline | None:
        """Return the server alone, on the GPU where it takes most."""
        if not self.server:
            return None
        values = _highest(self.server)
        memory = self.baselines.reference_bytes
        missing = {"memory_utilization_percent": _NO_MEMORY_UTILIZATION}
        highest = values.get("gpu_utilization_percent")
        if highest is None:
            missing["gpu_utilization_percent"] = _AVERAGE_ONLY
        try:
            return ServerBaseline.with_reason(
                f"{SERVER_FILE} does not give it",
                gpu_type=self.gpu_type,
                environment=_environment(self.source, None),
                missing=missing,
                gpu_memory_used_bytes=None if memory is None else round(memory),
                gpu_utilization_percent=highest,
            )
        except ValidationError as err:
            raise ProfileDataError(
                f"{self.server[0].where}: {describe_validation_error(err)}"
            ) from err

    def records(self) -> list[ProfileRecord]:
        """Return a record for each model, variant and load, by name and load."""
        found: dict[tuple[str, int], ProfileRecord] = {}
        repeated: dict[str, list[Sequence[MeasuredRow]]] = {}
        for key, rows in (*self.inference.items(), *self._lone_gpu_keys()):
            if len(rows) > 1 and any(row.values != rows[0].values for row in rows):
                repeated.setdefault(key[0], []).append(rows)
            record = self._record(key, rows)
            # Equal load points are one object here.
            found[record.model_name, id(record.load_point)] = record
        self.notes += [told_of_repeats(*one) for one in repeated.items()]
        self._say_what_does_not_match()
        points = {id(one.load_point): one.load_point for one in found.values()}
        order = {key: point.sort_key for key, point in points.items()}
        return sorted(
            found.values(), key=lambda one: (one.model_name, order[id(one.load_point)])
        )

    def _lone_gpu_keys(self) -> list[tuple[Key, Sequence[MeasuredRow]]]:
        """Return keys of GPU readings that no row of the inference table has."""
        if not self.gpu_rows:
            return []
        known = {(model, load) for model, _, load in self.inference}
        keys = {(model, variant) for model, variant, _ in self.inference}
        return [
            (key, ())
            for key in self.gpu_rows
            if key not in self.inference
            and not (
                (key[0], key[2]) in known
                # One of the tables does not tell variants apart.
                and (not key[1] or (key[0], "") in keys)
            )
        ]

    def _record(self, key: Key, rows: Sequence[MeasuredRow]) -> ProfileRecord:
        best = 0
        if len(rows) > 1:
            rates = [row.values.get("throughput_infer_per_sec", 0.0) for row in rows]
            best = rates.index(max(rates))
        described = [rows[best]] if rows else []
        values = dict(rows[best].values) if rows else {}
        taken = self._taken(key, best, len(rows)) if self.gpu_rows else []
        if not taken:
            return self._validated(key, described, values)
        use = gpu_use(taken, self.baselines)
        values |= use.values
        missing: dict[str, str] = {}
        warnings: tuple[str, ...] = ()
        if len(use.gpu_uuids) > 1:
            reason = (
                f"it was served by {len(use.gpu_uuids)} GPUs together "
                f"({', '.join(use.gpu_uuids)}); what one of them gives is not known: "
                "search with one GPU (Model Analyzer's --gpus UUID)"
            )
            missing = {name: reason for name in _RATES if name in values}
            values = {name: one for name, one in values.items() if name not in _RATES}
        if use.is_adjusted:
            warnings = (
                "the server alone takes different amounts on the GPUs of this machine: "
                "the memory is the model's own need on its GPU, and the most that the "
                "server takes on any",
            )
        uuid = use.gpu_uuids[0] if len(use.gpu_uuids) == 1 else None
        return self._validated(
            key, described + taken, values, missing, warnings, uuid, has_gpu_row=True
        )

    def _taken(self, key: Key, best: int, num_rows: int) -> list[MeasuredRow]:
        """Return the row of each GPU that goes with a row of the inference table."""
        return [
            of_gpu[best]
            if self.is_in_step and len(of_gpu) == num_rows
            else of_gpu[0]._replace(values=_highest(of_gpu))
            for of_gpu in self._gpu_rows_of(key).values()
        ]

    def _validated(
        self,
        key: Key,
        described: Sequence[MeasuredRow],
        values: dict[str, float],
        missing: Mapping[str, str] = _NOTHING,
        warnings: tuple[str, ...] = (),
        gpu_uuid: str | None = None,
        *,
        has_gpu_row: bool = False,
    ) -> ProfileRecord:
        model, _, load = key
        if load[2] is not None:
            warnings = (
                *warnings,
                f"requests were sent at {load[2]:g} a second: the throughput is what "
                "was asked for, the model may reach more",
            )
        variant, instances = self._setups.of(described, are_joined=key in self.gpu_rows)
        reasons = self._missing_of(model, values, has_gpu_row, missing)
        if "gpu_memory_used_bytes" in values:
            values["gpu_memory_used_bytes"] = round(values["gpu_memory_used_bytes"])
        values |= instances
        try:
            return self._maker.record(
                model_name=model,
                load_point=self._maker.load_point(load, variant),
                gpu_type=self.gpu_type,
                environment=_environment(self.source, gpu_uuid),
                values=values,
                missing=reasons,
                warnings=warnings,
            )
        except ValidationError as err:
            raise ProfileDataError(
                f"{described[0].where}: {describe_validation_error(err)}"
            ) from err

    def _gpu_rows_of(self, key: Key) -> Mapping[str, Sequence[MeasuredRow]]:
        if key in self.gpu_rows:
            return self.gpu_rows[key]
        model, variant, load = key
        if variant and (model, "", load) in self.gpu_rows:
            return self.gpu_rows[model, "", load]
        if variant:
            return {}
        # The inference table does not tell variants apart: take what any of them takes.
        return self._gpu_rows_by_load.get((model, load), {})

    @cached_property
    def _gpu_rows_by_load(
        self,
    ) -> Mapping[tuple[str, Load], Mapping[str, Sequence[MeasuredRow]]]:
        found: dict[tuple[str, Load], dict[str, list[MeasuredRow]]] = {}
        for (model, _, load), by_uuid in self.gpu_rows.items():
            of_load = found.setdefault((model, load), {})
            for uuid, rows in by_uuid.items():
                of_load.setdefault(uuid, []).extend(rows)
        return found

    def _missing_of(
        self,
        model: str,
        values: Mapping[str, float],
        has_gpu_row: bool,
        further: Mapping[str, str],
    ) -> Mapping[str, str]:
        """Return why readings are missing; the same for all records that lack them."""
        key = (model, tuple(values), has_gpu_row)
        if key not in self._missing:
            self._missing[key] = self._reasons(model, values, has_gpu_row)
        reasons = self._missing[key]
        return {**reasons, **further} if further else reasons

    def _reasons(
        self, model: str, values: Mapping[str, float], has_gpu_row: bool
    ) -> dict[str, str]:
        missing = {}
        no_gpu = self._no_gpu_row(model) if not has_gpu_row else None
        if "throughput_infer_per_sec" not in values:
            missing["throughput_infer_per_sec"] = (
                f"{INFERENCE_FILE} has no row of it, or no such column"
                if self.has_inference_table
                else _NO_INFERENCE_TABLE
            )
        if "gpu_utilization_percent" not in values:
            missing["gpu_utilization_percent"] = no_gpu or _AVERAGE_ONLY
        if "memory_utilization_percent" not in values:
            missing["memory_utilization_percent"] = _NO_MEMORY_UTILIZATION
        if "gpu_memory_used_bytes" not in values:
            missing["gpu_memory_used_bytes"] = no_gpu or self._no_memory_column()
        return missing

    def _no_gpu_row(self, model: str) -> str:
        if not self.gpu_tables:
            return _NO_GPU_TABLE
        where = ", ".join(one.where for one in self.gpu_tables)
        models = self._models_with_gpu_rows
        if model in models:
            return f"{where} has no row of this variant and load point"
        return (
            f"{where} has no row of {quoted(model)}, only of "
            f"{quoted_all(models) or 'nothing'}; give the tables of one run"
        )

    @cached_property
    def _models_with_gpu_rows(self) -> list[str]:
        return sorted({model for model, _, _ in self.gpu_rows})

    def _no_memory_column(self) -> str:
        where = ", ".join(one.where for one in self.gpu_tables) or "the table"
        unknown = [
            use
            for table in self.gpu_tables
            for use in table.uses
            if use.looks_like_reading
        ]
        if not unknown:
            return (
                f"{where} has no column of it, or the cell is empty; let Model "
                "Analyzer write it (its output field gpu_used_memory)"
            )
        return (
            f"no column of {where} is understood as it; not understood: "
            f"{', '.join(quoted(use.title) for use in unknown)}; say which one it is "
            f"({setting('columns')})"
        )

    def _say_what_does_not_match(self) -> None:
        of_inference = {model for model, _, _ in self.inference}
        of_gpu = {model for model, _, _ in self.gpu_rows}
        if not of_inference or not of_gpu:
            return
        for models, told in (
            (of_inference - of_gpu, "throughput, but no GPU readings"),
            (of_gpu - of_inference, "GPU readings, but no throughput"),
        ):
            if models:
                self.notes.append(
                    f"there is {told} of {quoted_all(sorted(models))}: are "
                    "the tables of one run?"
                )


def _key(row: MeasuredRow) -> Key:
    assert row.load is not None
    return row.model, row.variant, row.load


def _highest(rows: Sequence[MeasuredRow]) -> dict[str, float]:
    values: dict[str, float] = {}
    for row in rows:
        for name, value in row.values.items():
            values[name] = max(value, values.get(name, value))
    return values


@lru_cache(maxsize=1000)
def _environment(source: str, gpu_uuid: str | None) -> Environment:
    return Environment(
        source=source,
        server_name="triton",
        client_name="perf_analyzer",
        gpu_uuid=gpu_uuid or None,
    )
