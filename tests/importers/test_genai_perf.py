"""Summaries of GenAI-Perf and AIPerf: what they give, and what is never kept."""

import json
from pathlib import Path
from typing import Any

import pytest

import gpupack
from gpupack.errors import MissingReadingError, ProfileDataError

GB = 10**9
TOKEN = "sk-very-secret-0123456789"


def aiperf(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "request_throughput": {"unit": "requests/sec", "avg": 12.5},
        "request_latency": {
            "unit": "ms",
            "avg": 640.2,
            "p50": 610.0,
            "p90": 700.1,
            "p95": 720.4,
            "p99": 810.9,
        },
        "output_token_throughput": {"unit": "tokens/sec", "avg": 1600.0},
        "was_cancelled": False,
        "input_config": {
            "endpoint": {
                "model_names": ["small-llm"],
                "type": "chat",
                "api_key": TOKEN,
                "headers": [["Authorization", f"Bearer {TOKEN}"]],
            },
            "loadgen": {"concurrency": 8, "request_count": 80},
            "cli_command": f"aiperf profile --header 'Authorization: {TOKEN}'",
        },
    }
    return content | changes


def write(
    folder: Path, content: object, name: str = "profile_export_aiperf.json"
) -> Path:
    path = folder / name
    path.write_text(json.dumps(content, indent=2))
    return path


def gpu(uuid: str, memory_gb: float, busy: float) -> dict[str, Any]:
    return {
        "gpu_name": "NVIDIA L4",
        "gpu_uuid": uuid,
        "metrics": {
            "gpu_utilization": {"unit": "%", "avg": busy / 2, "max": busy},
            "gpu_memory_used": {"unit": "GB", "avg": 1.0, "max": memory_gb},
            "gpu_power_usage": {"unit": "W", "avg": 60.0, "max": 70.0},
        },
    }


def test_a_summarys_requests_and_latencies_become_a_record(tmp_path: Path) -> None:
    (record,) = gpupack.read_profiles(write(tmp_path, aiperf())).records

    assert record.model_name == "small-llm"
    assert str(record.load_point) == "1x8"
    assert record.throughput_infer_per_sec == 12.5
    assert record.latency_mean_us == 640_200
    assert record.latency_p99_us == pytest.approx(810_900)
    assert record.gpu_memory_used_bytes is None
    assert "telemetry" in record.missing["gpu_memory_used_bytes"]


def test_a_request_of_several_inputs_counts_each_of_them(tmp_path: Path) -> None:
    (record,) = gpupack.read_profiles(write(tmp_path, aiperf()), batch_size=4).records

    assert record.throughput_infer_per_sec == 50
    assert str(record.load_point) == "4x8"


def test_telemetry_becomes_gpu_readings(tmp_path: Path) -> None:
    telemetry = {
        "endpoints": {"localhost:9401": {"gpus": {"gpu_0": gpu("A", 20.5, 98)}}}
    }
    profiles = gpupack.read_profiles(
        write(tmp_path, aiperf(telemetry_data=telemetry)), gpu="L4"
    )

    (record,) = profiles.records
    assert record.gpu_memory_used_bytes == round(20.5 * GB)
    assert record.gpu_utilization_percent == 98
    assert record.gpu_utilization_mean_percent == 49
    assert record.power_mean_watts == 60
    assert record.environment.gpu_uuid == "A"
    assert any("reserves the GPU memory" in note for note in profiles.notes)


def test_what_two_gpus_serve_is_not_promised_of_one(tmp_path: Path) -> None:
    gpus = {"gpu_0": gpu("A", 20.0, 98), "gpu_1": gpu("B", 20.0, 97)}
    telemetry = {"endpoints": {"localhost:9401": {"gpus": gpus}}}
    (record,) = gpupack.read_profiles(
        write(tmp_path, aiperf(telemetry_data=telemetry))
    ).records

    assert record.throughput_infer_per_sec is None
    assert "2 GPUs together" in record.missing["throughput_infer_per_sec"]


def test_genai_perfs_own_telemetry_and_configuration_are_understood(
    tmp_path: Path,
) -> None:
    content = aiperf(
        telemetry_stats={
            "gpu_utilization": {"unit": "%", "gpu0": {"avg": 40.0, "max": 80.0}},
            "gpu_memory_used": {"unit": "GB", "gpu0": {"avg": 1.0, "max": 2.5}},
        },
        input_config={
            "model": ["bert"],
            "perf_analyzer": {"stimulus": {"request_rate": 5.0}},
        },
    )
    (record,) = gpupack.read_profiles(
        write(tmp_path, content, "profile_export_genai_perf.json")
    ).records

    assert record.model_name == "bert"
    assert str(record.load_point) == "1@5/s"
    assert record.gpu_memory_used_bytes == round(2.5 * GB)
    assert record.gpu_utilization_percent == 80


def test_tokens_are_neither_kept_nor_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, aiperf())

    profiles = gpupack.read_profiles(path)
    gpupack.write_profiles(profiles, tmp_path / "profiles.jsonl")

    assert TOKEN not in (tmp_path / "profiles.jsonl").read_text()
    assert TOKEN not in str(profiles) + repr(profiles) + capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (aiperf(input_config={}), "names no model"),
        (
            aiperf(input_config={"endpoint": {"model_names": ["a", "b"]}}),
            "a and b were measured together",
        ),
        (
            aiperf(input_config={"endpoint": {"model_names": ["a"], "api_key": TOKEN}}),
            "neither the concurrency nor the request rate",
        ),
        (
            aiperf(request_throughput={"unit": "furlongs", "avg": 1}),
            "request_throughput is in 'furlongs'",
        ),
        (
            aiperf(request_throughput={"unit": "requests/sec", "avg": -1}),
            "request_throughput is -1",
        ),
        (
            {"metadata": {"x": 1}, "metrics": {}, "error": None},
            "records of single requests; give the summary",
        ),
        ({"data": [{"payloads": [TOKEN]}]}, "the inputs of GenAI-Perf or AIPerf"),
        ({"unrelated": TOKEN}, "a JSON object with unrelated: none of"),
    ],
)
def test_what_cannot_be_planned_with_says_why(
    content: object, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ProfileDataError, match=told) as raised:
        gpupack.read_profiles(write(tmp_path, content))
    assert TOKEN not in str(raised.value)


def test_a_cancelled_run_is_used_only_if_the_caller_says_so(tmp_path: Path) -> None:
    profiles = gpupack.read_profiles(write(tmp_path, aiperf(was_cancelled=True)))

    assert profiles.records[0].is_stable is False
    with pytest.raises(MissingReadingError, match="never settled"):
        gpupack.place(profiles, gpus="L4")


def test_a_summary_as_csv_is_recognized_for_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "profile_export_aiperf.csv"
    path.write_text("Metric,avg,min,max\nRequest Latency (ms),6.0,1.0,9.0\n")

    with pytest.raises(ProfileDataError, match="neither model nor load; give the JSON"):
        gpupack.read_profiles(path)


def test_a_folder_of_runs_is_read_at_once(tmp_path: Path) -> None:
    for concurrency in (1, 2):
        run = tmp_path / f"concurrency{concurrency}"
        run.mkdir()
        config = {
            "endpoint": {"model_names": ["m"]},
            "loadgen": {"concurrency": concurrency},
        }
        write(run, aiperf(input_config=config))
        (run / "inputs.json").write_text("{}")

    profiles = gpupack.read_profiles(tmp_path)

    assert [str(one.load_point) for one in profiles.records] == ["1x1", "1x2"]


def test_text_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    config = {"endpoint": {"model_names": ["\ud800"]}, "loadgen": {"concurrency": 1}}

    with pytest.raises(ProfileDataError, match="no Unicode"):
        gpupack.read_profiles(write(tmp_path, aiperf(input_config=config)))
