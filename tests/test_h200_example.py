from __future__ import annotations

from collections import Counter

import gpupack
from gpupack.examples import load_example
from gpupack.records.gpu import DeviceKind

PROFILES = load_example("h200")


def test_at_least_eight_networks_were_measured_at_four_load_points_each() -> None:
    points = Counter(record.model_name for record in PROFILES.records)

    assert len(points) >= 8
    assert min(points.values()) >= 4
    assert not PROFILES.failures


def test_every_network_can_be_planned_with_from_points_that_settled() -> None:
    stable = Counter(
        record.model_name for record in PROFILES.records if record.is_stable
    )

    assert stable.keys() == set(PROFILES.model_names)
    assert min(stable.values()) >= 2
    assert gpupack.place(PROFILES, "max_throughput", time_limit_s=5.0).num_gpus > 1


def test_every_record_says_where_and_how_it_was_measured() -> None:
    for record in PROFILES.records:
        environment = record.environment
        assert record.gpu_type.name == "NVIDIA H200"
        assert record.gpu_type.kind is DeviceKind.GPU
        assert environment.source == "gpupack profile"
        assert environment.server_version == "2.51.0"
        assert environment.driver_version
        assert environment.mig_mode == "disabled"
        assert {"torch", "torchvision", "tritonclient"} <= set(environment.libraries)


def test_no_device_reading_is_missing_on_this_gpu() -> None:
    for record in PROFILES.records:
        assert not {
            name
            for name in record.missing
            if not name.startswith(("latency_", "host_"))  # the host's came later
        }, record.key


def test_readings_agree_with_each_other() -> None:
    (baseline,) = PROFILES.baselines
    assert baseline.gpu_memory_used_bytes is not None
    for record in PROFILES.records:
        assert record.gpu_memory_used_bytes is not None
        assert record.gpu_memory_used_bytes > baseline.gpu_memory_used_bytes
        assert record.gpu_utilization_percent is not None
        assert record.gpu_utilization_mean_percent is not None
        assert record.gpu_utilization_mean_percent <= record.gpu_utilization_percent
        # Busy multiprocessors make a busy GPU, not the other way round. The two are
        # counted apart, so a few points of difference are theirs.
        assert record.sm_utilization_percent is not None
        assert record.sm_utilization_percent <= record.gpu_utilization_percent + 5


def test_windows_hold_the_requests_that_the_throughput_counts() -> None:
    for record in PROFILES.records:
        num_requests = sum(window.num_requests for window in record.windows)
        seconds = sum(window.duration_s for window in record.windows)
        counted = num_requests * record.load_point.batch_size / seconds
        assert record.throughput_infer_per_sec is not None
        assert abs(counted / record.throughput_infer_per_sec - 1) < 0.02, record.key


def test_more_inputs_per_request_never_take_less_memory() -> None:
    for name in PROFILES.model_names:
        used = [
            record.gpu_memory_used_bytes or 0
            for record in sorted(
                PROFILES.select(name).records, key=lambda one: one.load_point.sort_key
            )
        ]
        assert used == sorted(used)
