"""Co-located measurements from Model Analyzer: models profiled at the same time.

Beside profiles of the same models alone, they are evidence of what sharing a GPU costs.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError, ProfileDataError
from gpupack.files import AnyPath, as_path, file_mode
from gpupack.importers.model_analyzer.model_analyzer_rows import (
    TogetherRow,
    read_table_rows,
)
from gpupack.importers.model_analyzer.model_analyzer_search import INFERENCE_FILE
from gpupack.importers.model_analyzer.model_analyzer_tables import (
    is_model_analyzer_table,
)
from gpupack.importers.source_text import read_source_text
from gpupack.importers.tables.variants import num_instances
from gpupack.quoting import quoted, quoted_all
from gpupack.records.colocation import CoLocatedModel, CoLocation
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import UNKNOWN_GPU_TYPE

if TYPE_CHECKING:
    from pathlib import Path

    from gpupack.importers.tables.loads import Load
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import ProfileRecord


def is_export(path: AnyPath) -> bool:
    """Say whether a path is an export of Model Analyzer."""
    table = _table(as_path(path))
    mode = file_mode(table)
    if mode is None or not stat.S_ISREG(mode):
        return False
    return is_model_analyzer_table(read_source_text(table))


def read_colocations(
    path: AnyPath, profiles: ProfileSet, sharing: SharingMode
) -> tuple[CoLocation, ...]:
    """Return what models reached together, and alone, as ``calibrate()`` takes it.

    Args:
        path: Model Analyzer's table of throughput, or the folder that holds it.
        profiles: Of the models alone, on the GPU that they shared: a model set up and
            driven as it was beside the others is looked for here.
        sharing: How they shared the GPU; the export does not say.

    Raises:
        ProfileDataError: If the export has no models that were measured together, or
            does not say what each of them reached.
        MissingReadingError: If no set has all of its models among the profiles.
        InvalidInputError: If the profiles are of no or several known GPU types.
    """
    table = _table(as_path(path))
    where = quoted(str(table))
    rows = read_table_rows(read_source_text(table), where).together
    if not rows:
        raise ProfileDataError(
            f"{where}: no models were measured together (Model Analyzer's option "
            "run_config_profile_models_concurrently_enable)"
        )
    _require_one_gpu_type(profiles)
    found: list[CoLocation] = []
    lacking: dict[str, None] = {}
    for row in rows:
        if not row.throughputs:
            raise ProfileDataError(
                f"{row.where}: the throughput of each model is missing, such as "
                '"421.0, [184.5,236.5]"'
            )
        alone = [_alone(row, index, profiles) for index in range(len(row.models))]
        records = [record for record in alone if record is not None]
        if len(records) < len(alone):
            lacking.update(
                dict.fromkeys(
                    _described(row, index)
                    for index, record in enumerate(alone)
                    if record is None
                )
            )
            continue
        found.append(_together(row, records, sharing))
        found += [_solo(record, sharing) for record in records]
    if not found:
        raise MissingReadingError(
            f"{where}: {quoted_all(list(lacking))} ran beside others, but the profiles "
            "have no measurement of it alone, set up and driven so; profile it alone"
        )
    return tuple(
        {(one.label, *(m.key for m in one.models)): one for one in found}.values()
    )


def _table(path: Path) -> Path:
    mode = file_mode(path)
    is_folder = mode is not None and stat.S_ISDIR(mode)
    return path / INFERENCE_FILE if is_folder else path


def _require_one_gpu_type(profiles: ProfileSet) -> None:
    names = [one.name for one in profiles.gpu_types]
    if len(names) != 1 or names == [UNKNOWN_GPU_TYPE.name]:
        raise InvalidInputError(
            "a calibration is of one GPU type, but the profiles are of "
            f"{', '.join(names) or 'none'}; say what was measured on: gpupack read "
            "EXPORT --gpu T4 --to profiles.jsonl"
        )


def _alone(row: TogetherRow, index: int, profiles: ProfileSet) -> ProfileRecord | None:
    """Return the record of a model alone, set up and driven as in a row.

    Searches number their configurations anew: instances and batch sizes tell whether
    two are the same.
    """
    name, (batch_size, concurrency, rate) = row.models[index], row.loads[index]
    group = row.groups[index] if index < len(row.groups) else ""
    num_gpu, _ = num_instances(group)
    size = row.sizes[index] if index < len(row.sizes) else ""
    for record in profiles.records:
        point = record.load_point
        if record.model_name != name or record.throughput_infer_per_sec is None:
            continue
        if (point.batch_size, point.concurrency, point.requests_per_sec) != (
            batch_size,
            concurrency,
            rate,
        ):
            continue
        variant = point.variant
        if variant is None:
            return record
        is_same = num_gpu is None or variant.num_gpu_instances in (None, num_gpu)
        if is_same and (not size or str(variant.max_batch_size or "") in ("", size)):
            return record
    return None


def _described(row: TogetherRow, index: int) -> str:
    load: Load = row.loads[index]
    driven = f"{load[0]}x{load[1]}" if load[2] is None else f"{load[0]}@{load[2]:g}/s"
    group = f", {row.groups[index]}" if index < len(row.groups) else ""
    return f"{row.models[index]} at {driven}{group}"


def _together(
    row: TogetherRow, records: list[ProfileRecord], sharing: SharingMode
) -> CoLocation:
    return CoLocation.with_reason(
        "Model Analyzer's table of throughput does not give it",
        label="together",
        models=tuple(
            _model(record, throughput)
            for record, throughput in zip(records, row.throughputs, strict=True)
        ),
        gpu_type=records[0].gpu_type,
        environment=Environment(source="Model Analyzer export", sharing_mode=sharing),
    )


def _solo(record: ProfileRecord, sharing: SharingMode) -> CoLocation:
    busy = record.gpu_utilization_mean_percent
    return CoLocation.with_reason(
        record.missing.get("gpu_utilization_mean_percent", "not measured"),
        label="alone",
        models=(_model(record, record.throughput_infer_per_sec),),
        gpu_type=record.gpu_type,
        environment=record.environment.model_copy(update={"sharing_mode": sharing}),
        gpu_utilization_percent=record.gpu_utilization_percent,
        gpu_utilization_mean_percent=busy,
        sm_utilization_percent=record.sm_utilization_percent,
        dram_bandwidth_percent=record.dram_bandwidth_percent,
    )


def _model(record: ProfileRecord, throughput: float | None) -> CoLocatedModel:
    return CoLocatedModel(
        model_name=record.model_name,
        load_point=record.load_point,
        throughput_infer_per_sec=throughput or None,
        is_stable=True,  # Model Analyzer keeps what perf_analyzer found stable
        num_model_instances=record.num_model_instances or 1,
    )
