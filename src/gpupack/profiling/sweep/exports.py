"""Profiles as the CSV tables that NVIDIA's Model Analyzer wrote for the article.

The same three files, with the article's column titles, its "MB" being MiB. What was
not measured is an empty cell; a name that a spreadsheet would take for a formula has an
apostrophe in front, which the reader takes off. Only gpupack's own file, written beside
them, keeps everything; ``gpupack.read_profiles`` takes that of a folder, or any table
alone.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpupack.errors import StoreError
from gpupack.files import AnyPath, as_path, replace_file
from gpupack.quoting import quoted
from gpupack.spreadsheet_cells import text_cell
from gpupack.store import PROFILE_FILE, profile_lines, write_profiles
from gpupack.units import BYTES_PER_MIB, mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.json_lines import JsonLinesFile
    from gpupack.profile_set import ProfileSet
    from gpupack.records.profile import GpuReadings, ProfileRecord

SERVER_FILE = "metrics-server-only.csv"
INFERENCE_FILE = "metrics-model-inference.csv"
GPU_FILE = "metrics-model-gpu.csv"

_LOAD_POINT_TITLES = ("Model", "Batch", "Concurrency")
_GPU_TITLES = (
    "Max Memory Utilization (%)",
    "Max GPU Utilization (%)",
    "Max GPU Memory (MB)",
    "GPU",
)
_PERCENTILES = ("p50", "p90", "p95", "p99")

_Cell: TypeAlias = str | int | float | None


def prepare_folder(folder: AnyPath) -> Path:
    """Make a folder that exports can be written to, and return it.

    Raises:
        StoreError: If the folder cannot be made or written to.
    """
    target = as_path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as err:
        raise StoreError(
            f"cannot write exports to the folder {quoted(str(target))}: "
            f"{err.strerror}; give a path that can be made and written to"
        ) from err
    return target


def write_article_tables(
    profiles: ProfileSet, folder: AnyPath, *, own_file: JsonLinesFile | None = None
) -> tuple[Path, ...]:
    """Write the three tables and gpupack's own file, and return their paths.

    Args:
        profiles: What to write; failed load points appear in gpupack's own file only.
        folder: Made if it does not exist. Files of the same names are replaced.
        own_file: The caller's profile file, which may be the one in the folder.

    Raises:
        StoreError: If the folder cannot be made or written to, or somebody else
            appends to the profile file in it.
    """
    target = prepare_folder(folder)
    throughput = ("Throughput",)
    latencies = tuple(f"{percentile} Latency (ms)" for percentile in _PERCENTILES)
    _write(
        target / SERVER_FILE,
        (*_LOAD_POINT_TITLES, *throughput, *_GPU_TITLES),
        (("", "", "", "", *_gpu_cells(one)) for one in profiles.baselines),
    )
    _write(
        target / INFERENCE_FILE,
        (*_LOAD_POINT_TITLES, *throughput, *_GPU_TITLES, *latencies),
        (
            (
                *_load_point_cells(record),
                record.throughput_infer_per_sec,
                *_gpu_cells(record),
                *_latency_cells(record),
            )
            for record in profiles.records
        ),
    )
    _write(
        target / GPU_FILE,
        (*_LOAD_POINT_TITLES, *_GPU_TITLES),
        (
            (*_load_point_cells(record), *_gpu_cells(record))
            for record in profiles.records
        ),
    )
    profile_file = target / PROFILE_FILE
    if own_file is not None and own_file.is_at(profile_file):
        own_file.replace(profile_lines(profiles))
    else:
        write_profiles(profiles, profile_file)
    names = (SERVER_FILE, INFERENCE_FILE, GPU_FILE, PROFILE_FILE)
    return tuple(target / name for name in names)


def _write(path: Path, titles: Sequence[str], rows: Iterable[Sequence[_Cell]]) -> None:
    with replace_file(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        # Left to itself, the writer does not quote a carriage return.
        quoting_writer = csv.writer(
            stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
        )
        writer.writerow(titles)
        for row in rows:
            has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
            (quoting_writer if has_return else writer).writerow(row)


def _load_point_cells(record: ProfileRecord) -> tuple[_Cell, ...]:
    point = record.load_point
    return text_cell(record.model_name), point.batch_size, point.concurrency


def _gpu_cells(readings: GpuReadings) -> tuple[_Cell, ...]:
    used_bytes = readings.gpu_memory_used_bytes
    return (
        readings.memory_utilization_percent,
        readings.gpu_utilization_percent,
        None if used_bytes is None else _plain(mib_from_bytes(used_bytes)),
        _gpu_name(readings),
    )


def _latency_cells(record: ProfileRecord) -> tuple[_Cell, ...]:
    values = (getattr(record, f"latency_{one}_us") for one in _PERCENTILES)
    return tuple(None if value is None else value / 1000 for value in values)


def _gpu_name(readings: GpuReadings) -> str:
    """Return the GPU's name and MiB, as the reader takes them; empty if not known."""
    gpu_type = readings.gpu_type
    if gpu_type.memory_bytes is None:
        return ""
    # Capacities round down.
    return text_cell(f"{gpu_type.name}:{gpu_type.memory_bytes // BYTES_PER_MIB}")


def _plain(number: float) -> int | float:
    """Return a whole number without its ``.0``."""
    return int(number) if number.is_integer() else number
