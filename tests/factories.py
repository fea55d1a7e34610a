"""Small records for tests, valid unless a test says otherwise."""

from __future__ import annotations

from typing import Any

from gpupack.profile_set import ProfileSet
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType
from gpupack.records.profile import LoadPoint, ProfileRecord, ServerBaseline

MIB = 1024 * 1024
ENVIRONMENT = Environment(source="test")
GPU = GpuType(name="test-gpu", memory_bytes=1000 * MIB)
BIG = GpuType(name="big-gpu", memory_bytes=4000 * MIB)


def make_record(model_name: str = "resnet", **values: Any) -> ProfileRecord:
    """A record at load point 1x1 with 100 MiB (server included), 10 % and 5 %."""
    defaults: dict[str, Any] = {
        "load_point": LoadPoint(batch_size=1, concurrency=1),
        "gpu_type": GPU,
        "environment": ENVIRONMENT,
        "throughput_infer_per_sec": 100.0,
        "gpu_utilization_percent": 10.0,
        "memory_utilization_percent": 5.0,
        "gpu_memory_used_bytes": 100 * MIB,
    }
    return ProfileRecord.with_reason(
        "not measured in this test", model_name=model_name, **(defaults | values)
    )


def make_timed_record(model_name: str = "resnet", **values: Any) -> ProfileRecord:
    """100 infer/sec by one instance, one at a time: 10 ms each, now and then 13 ms."""
    timed: dict[str, Any] = {
        "throughput_infer_per_sec": 100.0,
        "num_model_instances": 1,
        "latency_mean_us": 10_000.0,
        "latency_p50_us": 9_800.0,
        "latency_p90_us": 10_500.0,
        "latency_p95_us": 11_000.0,
        "latency_p99_us": 13_000.0,
        "gpu_utilization_percent": 60.0,
        "gpu_utilization_mean_percent": 50.0,
    }
    return make_record(model_name, **(timed | values))


def make_load_point(
    model_name: str,
    point: str = "1x1",
    *,
    rate: float = 100.0,
    busy: float = 50.0,
    memory_busy: float = 0.0,
    mib: int = 100,
    gpu_type: GpuType = GPU,
    **values: Any,
) -> ProfileRecord:
    """A record by what plans depend on: infer/sec, utilizations in percent and MiB."""
    return make_record(
        model_name,
        load_point=LoadPoint.parse(point),
        throughput_infer_per_sec=rate,
        gpu_utilization_percent=busy,
        memory_utilization_percent=memory_busy,
        gpu_memory_used_bytes=mib * MIB,
        gpu_type=gpu_type,
        **values,
    )


def make_baseline(memory_mib: int = 0, gpu_type: GpuType = GPU) -> ServerBaseline:
    """A server-only baseline that takes ``memory_mib``."""
    return ServerBaseline.with_reason(
        "not measured in this test",
        gpu_type=gpu_type,
        environment=ENVIRONMENT,
        gpu_utilization_percent=0.0,
        memory_utilization_percent=0.0,
        gpu_memory_used_bytes=memory_mib * MIB,
    )


def make_profiles(*records: ProfileRecord, baseline_mib: int = 0) -> ProfileSet:
    """A set of these records over one baseline."""
    return ProfileSet(records=records, baselines=(make_baseline(baseline_mib),))
