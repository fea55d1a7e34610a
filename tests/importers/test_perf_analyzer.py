"""perf_analyzer's tables: merged ones, rates, averages, several GPUs."""

import json
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import ProfileDataError

MERGED = """Batch Size,Concurrency,Inferences/Second,Server Queue,p50 latency,\
p99 latency,Avg latency
1,1,100.5,40,9800,10900,9900
2,1,180.2,40,10900,12000,11000
4,2,310.7,40,12600,13900,12700
"""


def write(folder: Path, text: str, name: str = "sweep.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_merged_tables_batch_column_is_the_batch_size(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(write(tmp_path, MERGED))

    assert [str(one.load_point) for one in profiles.records] == ["1x1", "2x1", "4x2"]
    assert [one.throughput_infer_per_sec for one in profiles.records] == [
        100.5,
        180.2,
        310.7,
    ]
    assert profiles.records[0].latency_mean_us == 9900
    assert not any(one.warnings for one in profiles.records)


def test_a_merged_tables_models_are_told_apart(tmp_path: Path) -> None:
    text = "Model,Concurrency,Inferences/Second\na,1,10\nb,1,20\n"

    profiles = gpupack.read_profiles(write(tmp_path, text), batch_size=8)

    assert profiles.model_names == ("a", "b")
    assert str(profiles.records[0].load_point) == "8x1"


def test_a_batch_size_that_the_table_contradicts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileDataError, match=r"row 2: Batch Size is '1'.*given as 8"):
        gpupack.read_profiles(write(tmp_path, MERGED), batch_size=8)


def test_a_column_that_may_contradict_the_assumed_batch_size_is_named(
    tmp_path: Path,
) -> None:
    text = MERGED.replace("Batch Size", "Inputs")
    path = write(tmp_path, text.replace("4,2,", "4,3,").replace("2,1,180", "2,2,180"))

    (first, *_) = gpupack.read_profiles(path).records
    assert any("not understood were the columns 'Inputs'" in t for t in first.warnings)
    told = gpupack.read_profiles(path, columns={"Inputs": "batch_size"})
    assert str(told.records[1].load_point) == "2x2"


def test_a_request_rate_is_a_load(tmp_path: Path) -> None:
    text = "Request Rate,Inferences/Second,p99 latency\n50,99.5,2000\n12.5,25,1900\n"

    fast, slow = gpupack.read_profiles(write(tmp_path, text), batch_size=2).records

    assert fast.load_point.requests_per_sec == 50
    assert str(slow.load_point) == "2@12.5/s"
    assert any("may reach more" in one for one in fast.warnings)


def test_tables_merged_of_both_ways_have_both_loads(tmp_path: Path) -> None:
    text = "Concurrency,Request Rate,Inferences/Second\n4,,100\n0,50,99.5\n"

    profiles = gpupack.read_profiles(write(tmp_path, text))

    assert [str(one.load_point) for one in profiles.records] == ["1x4", "1@50/s"]


def test_the_gpu_that_worked_is_the_models(tmp_path: Path) -> None:
    text = """Concurrency,Inferences/Second,Avg GPU Utilization,Max GPU Memory Usage
4,100,GPU-a:0.5;GPU-b:0;,GPU-a:3000000000;GPU-b:9000000000;
8,150,GPU-a:0.5;GPU-b:0.4;,GPU-a:3000000000;GPU-b:2000000000;
"""
    one, both = gpupack.read_profiles(write(tmp_path, text)).records

    assert one.gpu_memory_used_bytes == 3 * 10**9
    assert one.gpu_utilization_mean_percent == 50
    assert one.environment.gpu_uuid == "GPU-a"
    assert one.throughput_infer_per_sec == 100
    assert both.throughput_infer_per_sec is None
    assert "2 GPUs together" in both.missing["throughput_infer_per_sec"]


def raw_export(mode: str, value: object) -> dict[str, object]:
    second = 10**9
    times = [index * second // 10 for index in range(20)]
    experiment: dict[str, object] = {
        "experiment": {"mode": mode} | ({} if value is None else {"value": value}),
        "requests": [
            {"timestamp": one, "response_timestamps": [one + 40_000_000]}
            for one in times
        ],
        "window_boundaries": [0, 2 * second],
    }
    return {"version": "2.51.0", "experiments": [experiment]}


@pytest.mark.parametrize(
    ("mode", "value", "load_point"),
    [
        ("request_rate", 10.0, "1@10/s"),
        # 20 requests were sent within 2 s.
        ("custom_intervals", None, "1@10/s"),
        ("concurrency", 3, "1x3"),
    ],
)
def test_raw_times_of_every_way_of_driving_are_read(
    mode: str, value: object, load_point: str, tmp_path: Path
) -> None:
    path = write(tmp_path, json.dumps(raw_export(mode, value)), "m.json")

    (record,) = gpupack.read_profiles(path).records

    assert str(record.load_point) == load_point
    assert record.throughput_infer_per_sec == pytest.approx(10)
    assert record.latency_p50_us == pytest.approx(40_000)
