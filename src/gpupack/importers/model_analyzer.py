"""Profiles from the CSV exports of NVIDIA's Triton Model Analyzer.

``metrics-model-inference.csv`` has throughput and latency; ``metrics-model-gpu.csv``
memory and *average* GPU utilization; ``metrics-server-only.csv`` the baseline. Given
a folder, the three are joined. Its "MB" are 10⁶ bytes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpupack.errors import ProfileDataError
from gpupack.importers.table import TableRow, parse_rows
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.environment import Environment
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.profile import LoadPoint, ProfileRecord, ServerBaseline
from gpupack.store import describe_validation_error

if TYPE_CHECKING:
    from collections.abc import Iterable

INFERENCE_FILE = "metrics-model-inference.csv"
GPU_FILE = "metrics-model-gpu.csv"
SERVER_FILE = "metrics-server-only.csv"

_LOAD_POINT_TITLES = ("Batch", "Concurrency")
_BYTES_PER_MB = 1_000_000
_AVERAGE_ONLY = (
    "Model Analyzer reports the average GPU utilization, not the highest; measure the "
    "model with gpupack profile"
)
_NO_MEMORY_UTILIZATION = (
    "Model Analyzer does not report memory utilization; measure the model with gpupack "
    "profile"
)
_NO_GPU_TABLE = f"{INFERENCE_FILE} has no GPU readings; give {GPU_FILE} beside it"
_NO_INFERENCE_TABLE = f"{GPU_FILE} has no throughput; give {INFERENCE_FILE} beside it"


def is_model_analyzer_table(titles: Iterable[str]) -> bool:
    """Say whether these column titles are Model Analyzer's."""
    present = set(titles)
    return "Model Config Path" in present or {"Model", "GPU UUID"} <= present


def parse_model_analyzer(
    texts: dict[str, str], *, gpu_type: GpuType | None = None
) -> ProfileSet:
    """Join Model Analyzer's tables into profiles.

    Args:
        texts: CSV texts by file name; which table each is, its titles say.
        gpu_type: What was measured on; the exports only have its UUID.

    Raises:
        ProfileDataError: Naming file, row, column and value of what cannot be used.
    """
    inference: dict[tuple[str, LoadPoint], TableRow] = {}
    readings: dict[tuple[str, LoadPoint], list[TableRow]] = defaultdict(list)
    server_rows: list[TableRow] = []
    device = gpu_type or UNKNOWN_GPU_TYPE
    environment = Environment(
        source="Model Analyzer export",
        server_name="triton",
        client_name="perf_analyzer",
    )
    for where, text in texts.items():
        titles, rows = parse_rows(text, where)
        absent = [title for title in _LOAD_POINT_TITLES if title not in titles]
        if absent == [*_LOAD_POINT_TITLES] and "Model Config Path" not in titles:
            server_rows += rows
            continue
        if absent:
            raise ProfileDataError(
                f"{where}: missing columns {', '.join(absent)}; let Model Analyzer "
                "write them (its output fields batch_size and concurrency)"
            )
        several_configs = _models_with_several_configs(rows)
        for row in rows:
            name = row.text("Model")
            if name in several_configs:
                # Variants of one model are served, and measured, under these names.
                name = row.text("Model Config Path")
            if not name:
                raise ProfileDataError(f"{row.where}: Model is empty")
            key = (
                name,
                LoadPoint(
                    batch_size=row.whole_number("Batch"),
                    concurrency=row.whole_number("Concurrency"),
                ),
            )
            if "GPU UUID" in titles:
                readings[key].append(row)
            elif key in inference:
                raise ProfileDataError(
                    f"{row.where}: model {quoted(name)} has two rows at load point "
                    f"{key[1]}"
                )
            else:
                inference[key] = row
    try:
        records = [
            _record(key, inference.get(key), readings.get(key, []), device, environment)
            for key in sorted(
                {*inference, *readings}, key=lambda key: (key[0], key[1].sort_key)
            )
        ]
    except ValidationError as err:
        raise ProfileDataError(describe_validation_error(err)) from err
    baselines = [_baseline(server_rows, device, environment)] if server_rows else []
    if not records and not baselines:
        raise ProfileDataError(f"{', '.join(texts)}: the table has no rows")
    return ProfileSet(records=tuple(records), baselines=tuple(baselines))


def _models_with_several_configs(rows: Iterable[TableRow]) -> set[str]:
    configs = defaultdict(set)
    for row in rows:
        configs[row.text("Model")].add(row.text("Model Config Path"))
    return {model for model, paths in configs.items() if len(paths) > 1}


def _record(
    key: tuple[str, LoadPoint],
    inference: TableRow | None,
    gpu_rows: list[TableRow],
    gpu_type: GpuType,
    environment: Environment,
) -> ProfileRecord:
    throughput = latency = None
    if inference is not None:
        throughput = inference.number("Throughput (infer/sec)")
        latency = inference.number("p99 Latency (ms)", scale=1000)
    memory, utilization, power = _gpu_readings(gpu_rows)
    missing = {}
    if throughput is None:
        missing["throughput_infer_per_sec"] = _NO_INFERENCE_TABLE
    missing["gpu_utilization_percent"] = _AVERAGE_ONLY if gpu_rows else _NO_GPU_TABLE
    missing["memory_utilization_percent"] = _NO_MEMORY_UTILIZATION
    if memory is None:
        missing["gpu_memory_used_bytes"] = _NO_GPU_TABLE
    return ProfileRecord.with_reason(
        "Model Analyzer's export does not give it",
        model_name=key[0],
        load_point=key[1],
        gpu_type=gpu_type,
        environment=environment,
        missing=missing,
        throughput_infer_per_sec=throughput,
        latency_p99_us=latency,
        gpu_memory_used_bytes=memory,
        gpu_utilization_mean_percent=utilization,
        power_mean_watts=power,
    )


def _baseline(
    rows: list[TableRow], gpu_type: GpuType, environment: Environment
) -> ServerBaseline:
    memory, _, _ = _gpu_readings(rows)
    return ServerBaseline.with_reason(
        f"{SERVER_FILE} does not give it",
        gpu_type=gpu_type,
        environment=environment,
        missing={
            "gpu_utilization_percent": _AVERAGE_ONLY,
            "memory_utilization_percent": _NO_MEMORY_UTILIZATION,
        },
        gpu_memory_used_bytes=memory,
    )


def _gpu_readings(
    rows: list[TableRow],
) -> tuple[int | None, float | None, float | None]:
    """Return memory in bytes, average utilization and power, highest over GPUs."""
    if not rows:
        return None, None, None
    columns = (
        ("Max GPU Memory Usage (MB)", float(_BYTES_PER_MB)),
        ("Average GPU Utilization (%)", 1.0),
        ("Average GPU Power Usage (W)", 1.0),
    )
    memory, utilization, power = (
        max(
            (
                value
                for row in rows
                if (value := row.number(column, scale=scale)) is not None
            ),
            default=None,
        )
        for column, scale in columns
    )
    return None if memory is None else round(memory), utilization, power
