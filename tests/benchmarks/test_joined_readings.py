"""Two readings of a model alone, made one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.h200.joined_readings import joined
from gpupack.profiling import MeasuredLoad, Measurement, ModelLoad
from gpupack.profiling.devices import DeviceReadings
from gpupack.profiling.measuring.stability import Verdict, Window
from gpupack.profiling.server import ModelSignature, ModelStatistics
from gpupack.records.profile import LoadPoint


def _measured(rate: float, duration_s: float, utilization: float) -> Measurement:
    load = ModelLoad(
        ModelSignature("m", backend="python", max_batch_size=1, inputs=(), outputs=()),
        LoadPoint(batch_size=1, concurrency=1),
        {},
    )
    count = round(rate * duration_s)
    return Measurement(
        loads=(
            MeasuredLoad(
                load=load,
                throughput_infer_per_sec=rate,
                ci_ratio=0.02,
                latencies_us=np.full(count, 1e6 / rate),
                windows=(Window(duration_s, count),),
                verdict=Verdict(is_done=True, is_stable=True, why="", begin=0),
                statistics=ModelStatistics(num_requests=count, queue_ns=10 * count),
                client_cpu_percent=5.0,
                is_client_limited=False,
                protocol="http",
            ),
        ),
        duration_s=duration_s,
        readings=DeviceReadings(
            gpu_utilization_percent=utilization + 5,
            gpu_utilization_mean_percent=utilization,
            energy_joules=100.0,
            missing={"sm_utilization_percent": "not read"},
        ),
        server_cpu_percent=80.0,
        server_memory_bytes=10,
    )


def test_means_are_weighed_by_length_and_counts_are_summed() -> None:
    found = joined(_measured(100, 2, 60), _measured(130, 1, 30))
    (load,) = found.loads
    assert load.throughput_infer_per_sec == pytest.approx(110)
    assert len(load.latencies_us) == 330
    assert load.statistics.num_requests == 330
    assert load.statistics.queue_ns == 3300
    # Readings that are so far apart say more than either's own interval.
    assert load.ci_ratio == pytest.approx(15 / 110)
    assert found.readings.gpu_utilization_mean_percent == pytest.approx(50)
    assert found.readings.gpu_utilization_percent == 65
    assert found.readings.energy_joules == 200
    assert found.readings.sm_utilization_percent is None
    assert "sm_utilization_percent" in found.readings.missing
    assert found.duration_s == 3


def test_what_only_one_has_is_kept() -> None:
    first = replace(_measured(100, 2, 60), server_cpu_percent=None)
    found = joined(first, _measured(100, 2, 60))
    assert found.server_cpu_percent == 80
    assert found.loads[0].ci_ratio == pytest.approx(0.02 / np.sqrt(2))
