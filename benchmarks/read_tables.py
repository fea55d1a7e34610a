"""Time reading 100,000 rows of every kind: ``python -m benchmarks.read_tables``.

Each source is made up, written, and read in a process of its own, so that its memory
is its own, too. ``--record`` appends to ``benchmarks/results/read_tables.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gpupack
from benchmarks.environment import benchmark_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.profile_set import ProfileSet

RESULTS = Path(__file__).parent / "results" / "read_tables.jsonl"
CONCURRENCIES = tuple(range(1, 51))
BATCH_SIZES = (1, 2, 4, 8, 16)
VARIANTS_OF_A_MODEL = 10


def main() -> None:
    """Print the seconds of CPU, the rows and the peak memory of every kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kind", choices=sorted(SOURCES), action="append")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    for kind in given.kind or SOURCES:
        with tempfile.TemporaryDirectory() as folder, spawn.Pool(1) as pool:
            path = SOURCES[kind](Path(folder), given.rows)
            found = {"source": kind, "rows": given.rows} | pool.apply(_read, (path,))
        print(json.dumps(found))
        if given.record:
            environment = benchmark_environment(seed=0).model_dump(
                mode="json", exclude_none=True, exclude_defaults=True
            )
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found | {"environment": environment}) + "\n")


def _read(path: Path) -> dict[str, float]:
    gpupack.read_profiles(
        plain(path.parent, 2, name="warm.csv")
    )  # imports are no reading
    before = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.perf_counter()
    profiles = gpupack.read_profiles(path)
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "records": len(profiles),
        "cpu_s": round(cpu, 2),
        "wall_s": round(wall, 2),
        "peak_mib": _peak_mib(),
    }


def _peak_mib() -> int:
    """Return the most memory of this program; ``ru_maxrss`` has its parent's, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(one for one in status.splitlines() if one.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024)


def _points(rows: int) -> list[tuple[str, int, int, int]]:
    """Return model, variant, batch size and concurrency of each row."""
    of_variant = [(size, one) for size in BATCH_SIZES for one in CONCURRENCIES]
    found = []
    for index in range(rows):
        number, point = divmod(index, len(of_variant))
        model, variant = divmod(number, VARIANTS_OF_A_MODEL)
        found.append((f"model-{model}", variant, *of_variant[point]))
    return found


def _number(index: int, low: float, high: float) -> str:
    """Return a number that no other row has, nearly."""
    return f"{low + (high - low) * ((index * 7919) % 100_003) / 100_003:.4f}"


def plain(folder: Path, rows: int, *, name: str = "plain.csv") -> Path:
    """Write a table under gpupack's own titles."""
    lines = [
        "model_name,batch_size,concurrency,throughput_infer_per_sec,latency_mean_ms,"
        "latency_p99_ms,gpu_utilization_percent,memory_utilization_percent,"
        "gpu_memory_used_mib,gpu",
        ",,,,,,0,0,309,T4",
    ]
    lines += [
        f"{model}-{variant},{size},{load},{_number(one, 1, 9e3)},{_number(one, 1, 90)},"
        f"{_number(one, 90, 900)},{_number(one, 1, 99)},{_number(one, 1, 60)},"
        f"{_number(one, 400, 9000)},T4"
        for one, (model, variant, size, load) in enumerate(_points(rows))
    ]
    return _write(folder / name, lines)


def spreadsheet(folder: Path, rows: int) -> Path:
    """Write a table with decimal commas, units in cells and cells without a value."""
    lines = [
        "Modell;Variant;Batch;Concurrency;tput;p99 (ms);GPU-Util;VRAM;team",
        ";;;;;;0 %;309 MiB;",
    ]
    for one, (model, variant, size, load) in enumerate(_points(rows)):
        busy = "N/A" if one % 10 == 0 else f"{_number(one, 1, 99)} %"
        lines.append(
            f"{model};v{variant};{size};{load};{_number(one, 1, 9e3)};"
            f"{_number(one, 90, 900)};{busy};{_number(one, 400, 9000)} MiB;red".replace(
                ".", ","
            )
        )
    return _write(folder / "sheet.csv", lines)


def model_analyzer(folder: Path, rows: int) -> Path:
    """Write the three tables of a search: a row in two of them for each load point."""
    search = folder / "search"
    search.mkdir()
    inference = [
        "Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,"
        "Satisfies Constraints,Throughput (infer/sec),Average Latency (ms),"
        "p99 Latency (ms)"
    ]
    gpus = [
        "Model,GPU UUID,Batch,Concurrency,Model Config Path,Instance Group,"
        "Satisfies Constraints,GPU Memory Usage (MB),GPU Utilization (%),"
        "GPU Power Usage (W)"
    ]
    for one, (model, variant, size, load) in enumerate(_points(rows // 2)):
        config = f"{model}_config_{variant}"
        setup = f"{variant + 1}:GPU"
        inference.append(
            f"{model},{size},{load},{config},{setup},16,Yes,{_number(one, 1, 9e3)},"
            f"{_number(one, 1, 90)},{_number(one, 90, 900)}"
        )
        gpus.append(
            f"{model},GPU-1,{size},{load},{config},{setup},Yes,"
            f"{_number(one, 500, 9000)},{_number(one, 1, 99)},{_number(one, 20, 300)}"
        )
    _write(search / "metrics-model-inference.csv", inference)
    _write(search / "metrics-model-gpu.csv", gpus)
    _write(
        search / "metrics-server-only.csv",
        [
            "Model,GPU UUID,GPU Memory Usage (MB),GPU Utilization (%)",
            "triton-server,GPU-1,446.0,0.0",
        ],
    )
    return search


def model_analyzer_inference(folder: Path, rows: int) -> Path:
    """Write all rows into the table of throughput and latency."""
    search = model_analyzer(folder, 2 * rows)
    path = search / "metrics-model-inference.csv"
    return path.rename(folder / "inference.csv")


def checkpoint(folder: Path, rows: int) -> Path:
    """Write a checkpoint of Model Analyzer with a measurement for each row."""
    results: dict[str, dict[str, list[object]]] = {}
    for one, (model, variant, size, load) in enumerate(_points(rows)):
        config = f"{model}_config_{variant}"
        settings = {
            "name": config,
            "maxBatchSize": 16,
            "instanceGroup": [{"count": variant + 1, "kind": "KIND_GPU"}],
        }
        run: list[object] = [{"_model_run_configs": [{"_model_config": settings}]}, {}]
        measured = results.setdefault(model, {}).setdefault(config, run)[1]
        assert isinstance(measured, dict)
        measured[f"-m {model} -b {size} --concurrency-range={load}"] = {
            "_gpu_data": {
                "GPU-1": [
                    ["gpu_used_memory", {"_value": float(_number(one, 500, 9000))}],
                    ["gpu_utilization", {"_value": float(_number(one, 1, 99))}],
                ]
            },
            "_model_config_measurements": [
                {
                    "_model_config_name": config,
                    "_model_specific_pa_params": {
                        "batch-size": size,
                        "concurrency-range": load,
                    },
                    "_non_gpu_data": [
                        ["perf_throughput", {"_value": float(_number(one, 1, 9e3))}],
                        ["perf_latency_p99", {"_value": float(_number(one, 90, 900))}],
                    ],
                }
            ],
        }
    content = {
        "ResultManager.results": {"_results": results},
        "ResultManager.server_only_data": {
            "GPU-1": [["gpu_used_memory", {"_value": 446.0}]]
        },
    }
    path = folder / "0.ckpt"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def perf_analyzer(folder: Path, rows: int) -> Path:
    """Write merged tables of perf_analyzer, with the readings of a GPU."""
    lines = [
        "Model,Batch Size,Concurrency,Inferences/Second,Client Send,"
        "Network+Server Send/Recv,Server Queue,Server Compute Input,"
        "Server Compute Infer,Server Compute Output,Client Recv,p50 latency,"
        "p90 latency,p95 latency,p99 latency,Avg latency,Avg GPU Utilization,"
        "Max GPU Memory Usage"
    ]
    lines += [
        f"{model}-{variant},{size},{load},{_number(one, 1, 9e3)},9,87,"
        f"{_number(one, 10, 99)},6,{_number(one, 100, 999)},7,1,"
        f"{_number(one, 1e3, 2e3)},{_number(one, 2e3, 3e3)},{_number(one, 3e3, 4e3)},"
        f"{_number(one, 4e3, 5e3)},{_number(one, 1e3, 2e3)},"
        f"GPU-1:{_number(one, 0, 1)};,GPU-1:{400_000_000 + one};"
        for one, (model, variant, size, load) in enumerate(_points(rows))
    ]
    return _write(folder / "merged.csv", lines)


def request_times(folder: Path, rows: int) -> Path:
    """Write perf_analyzer's times of each request, one experiment."""
    step_ns = 10_000_000
    content = {
        "version": "2.51.0",
        "experiments": [
            {
                "experiment": {"mode": "concurrency", "value": 2},
                "requests": [
                    {
                        "timestamp": index * step_ns,
                        "response_timestamps": [index * step_ns + 2 * step_ns],
                    }
                    for index in range(rows)
                ],
                "window_boundaries": [0, rows * step_ns // 2, rows * step_ns],
            }
        ],
    }
    path = folder / "requests.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def own(folder: Path, rows: int) -> Path:
    """Write gpupack's own file."""
    profiles: ProfileSet = gpupack.read_profiles(plain(folder, rows))
    path = folder / "profiles.jsonl"
    gpupack.write_profiles(profiles, path)
    return path


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


SOURCES: dict[str, Callable[[Path, int], Path]] = {
    "a table": plain,
    "a spreadsheet's table": spreadsheet,
    "Model Analyzer's folder": model_analyzer,
    "Model Analyzer's table": model_analyzer_inference,
    "Model Analyzer's checkpoint": checkpoint,
    "perf_analyzer's table": perf_analyzer,
    "perf_analyzer's requests": request_times,
    "gpupack's own file": own,
}


if __name__ == "__main__":
    main()
