"""Model Analyzer's checkpoints, where they hold more than the tables."""

import json
from pathlib import Path
from typing import Any

import pytest

import gpupack
from gpupack.errors import ProfileDataError

UUID = "GPU-aaaa"


def pairs(**values: float) -> list[list[Any]]:
    return [[tag, {"_value": value, "_timestamp": 0}] for tag, value in values.items()]


def measurement(
    variant: str, throughput: float, memory: float, **parameters: Any
) -> dict[str, Any]:
    return {
        "_model_variants_name": variant,
        "_gpu_data": {UUID: pairs(gpu_used_memory=memory, gpu_utilization=3.25)},
        "_model_config_measurements": [
            {
                "_model_config_name": variant,
                "_model_specific_pa_params": parameters,
                "_non_gpu_data": pairs(
                    perf_throughput=throughput,
                    perf_latency_avg=0.38,
                    perf_latency_p90=0.437,
                    perf_latency_p99=0.511,
                    perf_server_queue=0.017,
                ),
            }
        ],
    }


def run(*names: str) -> dict[str, Any]:
    return {
        "_model_run_configs": [
            {
                "_model_name": "m",
                "_model_config": {
                    "name": "m_config_1",
                    "maxBatchSize": 8,
                    "instanceGroup": [{"count": 2, "kind": "KIND_GPU"}],
                    "dynamicBatching": {},
                },
            }
        ],
        "_composing_configs": [
            {
                "name": name,
                "maxBatchSize": 4,
                "instanceGroup": [{"count": 3, "kind": "KIND_GPU"}],
            }
            for name in names
        ],
    }


def checkpoint(results: dict[str, Any]) -> dict[str, Any]:
    return {
        "ModelManager.model_variant_name_manager": {},
        "ResultManager.results": {"_results": results},
        "ResultManager.server_only_data": {UUID: pairs(gpu_used_memory=500.5)},
    }


def write(folder: Path, content: object) -> Path:
    path = folder / "0.ckpt"
    path.write_text(json.dumps(content))
    return path


def test_a_checkpoint_has_every_latency_and_digit(tmp_path: Path) -> None:
    content = checkpoint(
        {
            "m": {
                "m_config_1": [
                    run(),
                    {
                        "-m m -b 2": measurement(
                            "m_config_1",
                            2626.05,
                            847.249408,
                            **{"batch-size": 2, "concurrency-range": 4},
                        )
                    },
                ]
            }
        }
    )
    profiles = gpupack.read_profiles(write(tmp_path, content), gpu="T4")

    (record,) = profiles.records
    assert str(record.load_point) == "m_config_1:2x4"
    assert record.throughput_infer_per_sec == 2626.05
    assert record.latency_mean_us == 380
    assert record.latency_p90_us == 437
    assert record.server_queue_us == 17
    # MB of 10**6 bytes.
    assert record.gpu_memory_used_bytes == 847_249_408
    assert record.gpu_utilization_mean_percent == 3.25
    assert record.num_model_instances == 2
    variant = record.load_point.variant
    assert variant is not None
    assert variant.has_dynamic_batching is True
    assert variant.max_batch_size == 8
    assert profiles.baselines[0].gpu_memory_used_bytes == 500_500_000


def test_the_called_models_variants_tell_searches_of_a_caller_apart(
    tmp_path: Path,
) -> None:
    load = {"batch-size": 1, "concurrency-range": 16}
    content = checkpoint(
        {
            "m": {
                "m_config_1,a_config_0": [
                    run("a_config_0"),
                    {"x": measurement("m_config_1", 100.0, 900.0, **load)},
                ],
                "m_config_1,a_config_2": [
                    run("a_config_2"),
                    {"x": measurement("m_config_1", 200.0, 950.0, **load)},
                ],
            }
        }
    )
    profiles = gpupack.read_profiles(write(tmp_path, content))

    assert {
        str(one.load_point): one.throughput_infer_per_sec for one in profiles.records
    } == {"m_config_1[a_config_0]:1x16": 100.0, "m_config_1[a_config_2]:1x16": 200.0}
    assert not any("several rows" in one for one in profiles.notes)


def test_a_folder_with_checkpoints_is_read_by_its_newest(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    load = {"batch-size": 1, "request-rate-range": 32}
    for number in (2, 10):
        content = checkpoint(
            {"m": {"v": [run(), {"x": measurement("v", number, 900.0, **load)}]}}
        )
        (folder / f"{number}.ckpt").write_text(json.dumps(content))

    (record,) = gpupack.read_profiles(tmp_path).records

    assert record.throughput_infer_per_sec == 10
    assert record.load_point.requests_per_sec == 32


def test_a_checkpoint_without_a_measurement_is_refused(tmp_path: Path) -> None:
    for results in ({}, {"m": {}}, {"m": {"m_config_0": [run("m_config_0"), {}]}}):
        with pytest.raises(ProfileDataError, match="was stopped before its first"):
            gpupack.read_profiles(write(tmp_path, checkpoint(results)))


@pytest.mark.parametrize(
    "text",
    [
        '{"ResultManager.results": {"_results": {"m": {"v": [1, 2]}}}}',
        '{"ResultManager.results": 5}',
        '{"ResultManager.results": {"_results": {"m": {"v": [{}, {"x": {}}]}}}}',
        '{"ModelManager.x": {}, "ResultManager.results": {"_results": {"m"',
        '{"ResultManager.results": {"_results": {}}}',
    ],
)
def test_a_checkpoint_of_another_shape_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "0.ckpt"
    path.write_text(text)

    with pytest.raises(ProfileDataError):
        gpupack.read_profiles(path)
