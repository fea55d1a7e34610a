"""Exports of Model Analyzer and perf_analyzer: what they have, and what they lack."""

import json
import re
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import MissingReadingError, ProfileDataError, StoreError

INFERENCE = """Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,\
Satisfies Constraints,Throughput (infer/sec),p99 Latency (ms)
sleep5,2,4,sleep5_config_default,1:CPU,8,Yes,630.7,18.0
sleep5,1,1,sleep5_config_default,1:CPU,8,Yes,159.1,8.2

"""
GPU_TABLE = """Model,GPU UUID,Batch,Concurrency,Model Config Path,Instance Group,\
Satisfies Constraints,Max GPU Memory Usage (MB),Average GPU Utilization (%),\
Average GPU Power Usage (W)
sleep5,GPU-1,2,4,sleep5_config_default,1:GPU,Yes,1000.0,40.0,90.0
sleep5,GPU-1,1,1,sleep5_config_default,1:GPU,Yes,900.0,20.0,80.0
"""
SERVER = """Model,GPU UUID,Max GPU Memory Usage (MB),Average GPU Utilization (%),\
Average GPU Power Usage (W)
triton-server,GPU-1,300.0,0.0,60.0
"""
PERF_ANALYZER = """Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,\
Server Queue,Server Compute Input,Server Compute Infer,Server Compute Output,\
Client Recv,p50 latency,p90 latency,p95 latency,p99 latency,request/response,\
response wait,Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage,\
Total GPU Memory
1,149.65,9,552,87,31,5705,277,4,6465,6635,6704,9994,13,6618,,,,
4,330.767,5,529,5551,45,5543,404,2,12096,12581,12884,17271,7,12056,\
GPU-1:0.5;,GPU-1:90;,GPU-1:1000000;,GPU-1:16000000000;
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_model_analyzers_inference_table_says_what_it_lacks(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(
        write(tmp_path, "metrics-model-inference.csv", INFERENCE)
    )

    record = profiles.select("sleep5", load_point="2x4").records[0]
    assert record.throughput_infer_per_sec == 630.7
    assert record.latency_p99_us == 18_000
    assert record.gpu_memory_used_bytes is None
    with pytest.raises(
        MissingReadingError, match="gpu_memory_used_bytes.*metrics-model-gpu"
    ):
        gpupack.place(profiles, gpus="T4", load_point="2x4")


def test_a_folder_of_model_analyzers_tables_is_joined(tmp_path: Path) -> None:
    write(tmp_path, "metrics-model-inference.csv", INFERENCE)
    write(tmp_path, "metrics-model-gpu.csv", GPU_TABLE)
    write(tmp_path, "metrics-server-only.csv", SERVER)

    profiles = gpupack.read_profiles(tmp_path, gpu="T4")

    record = profiles.select("sleep5", load_point="2x4").records[0]
    # Model Analyzer's MB are 10**6 bytes.
    assert record.gpu_memory_used_bytes == 1_000_000_000
    assert record.gpu_utilization_mean_percent == 40
    assert record.gpu_utilization_percent is None
    assert "average" in record.missing["gpu_utilization_percent"]
    assert profiles.baselines[0].gpu_memory_used_bytes == 300_000_000
    placement = gpupack.place(profiles, load_point="2x4")
    assert placement.gpus[0].memory_bytes == 1_000_000_000
    with pytest.raises(MissingReadingError, match="gpu_utilization_percent.*average"):
        gpupack.place(profiles, "max_throughput", load_point="2x4")


def test_perf_analyzers_table_is_read_and_its_assumption_stated(tmp_path: Path) -> None:
    path = write(tmp_path, "resnet.csv", PERF_ANALYZER)

    profiles = gpupack.read_profiles(path)

    first = profiles.select("resnet", load_point="1x1").records[0]
    assert first.throughput_infer_per_sec == 149.65
    assert (first.latency_p50_us, first.latency_p99_us) == (6465, 9994)
    assert first.server_queue_us == 87
    assert first.gpu_memory_used_bytes is None
    assert any("batch size" in text for text in first.warnings)
    second = profiles.select("resnet", load_point="1x4").records[0]
    assert second.gpu_memory_used_bytes == 1_000_000
    assert second.gpu_utilization_mean_percent == 50


def test_perf_analyzers_model_and_batch_size_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", PERF_ANALYZER)

    profiles = gpupack.read_profiles(path, model_name="bert", batch_size=8, gpu="L4")

    assert profiles.model_names == ("bert",)
    assert str(profiles.records[0].load_point) == "8x1"
    assert profiles.records[0].warnings == ()
    assert profiles.gpu_types[0].name == "L4"


def profile_export(num_requests: int) -> str:
    second = 1_000_000_000
    requests = [
        # One response every 100 ms, each after 40 ms.
        {
            "timestamp": i * second // 10,
            "response_timestamps": [i * second // 10 + 40_000_000],
        }
        for i in range(num_requests)
    ]
    experiment = {
        "experiment": {"mode": "concurrency", "value": 2},
        "requests": requests,
        "window_boundaries": [0, second, 2 * second],
    }
    return json.dumps({"version": "2.51.0", "experiments": [experiment]})


def test_raw_request_times_of_perf_analyzer_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "resnet.json", profile_export(20))

    (record,) = gpupack.read_profiles(path, batch_size=4).records

    # 20 requests of 4 inputs within 2 s.
    assert record.throughput_infer_per_sec == pytest.approx(40)
    assert record.latency_p99_us == pytest.approx(40_000)
    assert [window.num_requests for window in record.windows] == [10, 10]
    assert record.load_point.concurrency == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"experiments": 1}',
        '{"experiments": []}',
        '{"experiments": [{"experiment": {"mode": "concurrency"}}]}',
        '{"experiments": [{"experiment"',
        profile_export(0),
        profile_export(3).replace('"value": 2', '"value": "two"'),
        '{"experiments": ' + "[" * 100_000,
        '{"experiments": [{"experiment": [], "requests": []}]}',
        re.sub(r'"timestamp": \d+', '"timestamp": 1e400', profile_export(3)),
    ],
)
def test_a_broken_profile_export_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProfileDataError):
        gpupack.read_profiles(write(tmp_path, "x.json", text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Model,Model Config Path\nr,p\n", "missing columns Batch, Concurrency; let"),
        ("Model,Batch,GPU UUID\nr,1,u\n", "missing columns Concurrency; let Model"),
        ("Inferences/Second,p99 latency\n9,9\n", "missing column Concurrency"),
    ],
)
def test_an_export_without_its_load_points_says_which_columns_it_lacks(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ProfileDataError, match=f"export.csv.*{told}"):
        gpupack.read_profiles(write(tmp_path, "export.csv", text))


def test_a_gpu_table_without_config_paths_is_model_analyzers_all_the_same(
    tmp_path: Path,
) -> None:
    table = "Model,GPU UUID,Batch,Concurrency,Max GPU Memory Usage (MB)\nr,u,1,1,500\n"

    profiles = gpupack.read_profiles(write(tmp_path, "gpu.csv", table))

    assert profiles.records[0].gpu_memory_used_bytes == 500 * 10**6


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="metrics-model-inference"):
        gpupack.read_profiles(tmp_path)


def test_a_file_of_gpupack_itself_is_read_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "profiles.anything"
    medical = gpupack.load_example("medical")
    gpupack.write_profiles(medical, path)

    assert gpupack.read_profiles(path) == medical
