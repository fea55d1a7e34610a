"""A real Prometheus, scraping the embedded Triton and an exporter of made-up GPUs."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from gpupack import read_prometheus
from gpupack.records.profile import RecordOrigin

if TYPE_CHECKING:
    from tests.importers.prometheus.conftest import RunningCluster

pytestmark = pytest.mark.triton
NUM_REQUESTS, BATCH = 60, 2


def drive(running: RunningCluster) -> float:
    """Send all requests within some seconds; return when they are all scraped."""
    body = json.dumps(
        {
            "inputs": [
                {
                    "name": "X",
                    "shape": [BATCH, 16],
                    "datatype": "FP32",
                    "data": [0.0] * (16 * BATCH),
                }
            ]
        }
    ).encode()
    url = f"{running.server.url}/v2/models/echo/infer"
    for _ in range(NUM_REQUESTS):
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=30):
            pass
        time.sleep(0.05)
    # Five further samples, so that the last step with traffic is whole.
    time.sleep(5)
    return time.time()


def test_everything_that_was_served_is_found_in_the_demand(
    running: RunningCluster,
) -> None:
    # A measurement: where the machine stands still, a scrape comes seconds late.
    for _ in range(4):
        start = time.time()
        end = drive(running)
        cluster = read_prometheus(
            running.url, window=round(end - start + 5), now_s=lambda end=end: end
        )
        (demand,) = cluster.demands
        # Every inference is in exactly one step; samples are a second apart.
        lengths = cluster.window.step_s
        served = sum(rate or 0.0 for rate in demand.infer_per_sec) * lengths
        if served == pytest.approx(NUM_REQUESTS * BATCH, rel=0.1):
            break

    assert demand.model_name == "echo"
    assert served == pytest.approx(NUM_REQUESTS * BATCH, rel=0.1)
    assert demand.mean_request_batch_size == pytest.approx(BATCH, rel=1e-6)
    assert demand.peak_infer_per_sec is not None
    assert demand.peak_infer_per_sec == max(
        rate for rate in demand.infer_per_sec if rate is not None
    )


def test_the_pod_that_the_exporter_names_joins_model_and_gpu(
    running: RunningCluster,
) -> None:
    drive(running)

    cluster = read_prometheus(running.url, window="20s")

    first, second = cluster.gpus
    assert (first.name, first.models, first.pods) == (
        "node-a:0",
        ("echo",),
        ("serving/triton-0",),
    )
    assert first.memory_used_bytes == 2048 * 1024 * 1024
    assert first.gpu_utilization_peak_percent == 40.0
    assert first.sm_utilization_peak_percent == 25.0
    assert first.gpu_type.memory_bytes == 143771 * 1024 * 1024  # the catalogue's H200
    assert (second.name, second.models, second.pods) == ("node-a:1", (), ())
    (estimate,) = cluster.estimates
    assert estimate.origin is RecordOrigin.ESTIMATED
    assert estimate.model_name == "echo"
    assert estimate.load_point.batch_size == BATCH
    assert estimate.gpu_utilization_percent == 40.0
    assert estimate.dram_bandwidth_percent == 12.5
    assert cluster.unknown == ()
