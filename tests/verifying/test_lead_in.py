"""How long requests arrive before those that count: until queues are what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpupack.records.placement import GpuPlacement
from gpupack.records.profile import LoadPoint
from gpupack.records.request.arrivals import Arrivals
from gpupack.verifying.block_clients import (
    LEAST_LEAD_S,
    MOST_LEAD_S,
    MeasuredGpu,
    lead_in_s,
)
from gpupack.verifying.gpu_run import lead_of
from gpupack.verifying.round_options import Member
from tests.factories import make_record

SERVICE_S = 0.002
BLOCK_S = 2.0


def sojourns_s(
    busy: float, lead_s: float, chance: np.random.Generator, *, is_even: bool
) -> np.ndarray:
    """What requests of a block take at a server that began with an empty queue."""
    number = int(1.3 * (lead_s + BLOCK_S) * busy / SERVICE_S) + 60
    gaps = chance.exponential(SERVICE_S / busy, number)
    services = np.full(number, SERVICE_S)
    if not is_even:
        services = chance.exponential(SERVICE_S, number)
    walk = np.concatenate([[0.0], np.cumsum(services[:-1] - gaps[1:])])
    taken = walk - np.minimum.accumulate(walk) + services
    ends = np.cumsum(gaps) + taken
    return np.asarray(taken[(ends >= lead_s) & (ends < lead_s + BLOCK_S)])


def p99_of_blocks_s(busy: float, lead_s: float, *, is_even: bool) -> float:
    chance = np.random.default_rng(5)
    blocks = [sojourns_s(busy, lead_s, chance, is_even=is_even) for _ in range(1000)]
    return float(np.percentile(np.concatenate(blocks), 99))


def test_blocks_at_nine_tenths_of_a_server_have_the_p99_of_the_long_run() -> None:
    # M/M/1: what requests take is exponential, of mean S / (1 - ρ).
    in_the_long_run_s = SERVICE_S / 0.1 * np.log(100)
    lead_s = lead_in_s(SERVICE_S, 0.9)
    assert p99_of_blocks_s(0.9, lead_s, is_even=False) == pytest.approx(
        in_the_long_run_s, rel=0.05
    )
    # Without it the tail is too short.
    assert p99_of_blocks_s(0.9, 0.0, is_even=False) < 0.93 * in_the_long_run_s


def test_blocks_of_equal_services_have_the_mean_of_the_long_run() -> None:
    # M/D/1, by Pollaczek and Khinchine.
    mean_s = SERVICE_S * (1 + 0.9 / (2 * 0.1))
    chance = np.random.default_rng(6)
    blocks = [
        sojourns_s(0.9, lead_in_s(SERVICE_S, 0.9), chance, is_even=True)
        for _ in range(1000)
    ]
    assert np.concatenate(blocks).mean() == pytest.approx(mean_s, rel=0.05)


def test_the_lead_in_grows_with_service_and_load_within_bounds() -> None:
    assert lead_in_s(0.001, 0.1) == LEAST_LEAD_S
    assert lead_in_s(0.002, 0.9) == pytest.approx(0.002 / (1 - 0.9**0.5) ** 2)
    assert lead_in_s(0.004, 0.9) == pytest.approx(2 * lead_in_s(0.002, 0.9))
    assert lead_in_s(0.1, 0.9) == MOST_LEAD_S
    assert lead_in_s(0.001, 1.5) == MOST_LEAD_S == lead_in_s(0.001, 0.98 + 0.01)


def placement_of(*served: float | None) -> GpuPlacement:
    record = make_record()
    return GpuPlacement.model_validate(
        {
            "gpu_index": 0,
            "gpu_type": record.gpu_type.model_dump(),
            "assignments": [
                {
                    "model_name": f"model{place}",
                    "load_point": {"batch_size": 2, "concurrency": 1},
                    "throughput_infer_per_sec": 1000.0,
                    "served_infer_per_sec": rate,
                    "memory_bytes": 1,
                    "gpu_utilization_percent": None if rate is None else rate / 20,
                }
                for place, rate in enumerate(served)
            ],
            "resources": (),
            "baseline_memory_bytes": 0,
        }
    )


def test_the_lead_in_is_by_the_busiest_of_models_and_gpu() -> None:
    # A request of two inputs takes 2 ms.
    assert lead_of(placement_of(900.0)) == lead_in_s(0.002, 0.9)
    together = lead_of(placement_of(600.0, 600.0, 600.0))
    assert together == pytest.approx(lead_in_s(0.002, 0.9))
    assert lead_of(placement_of(None, None)) == LEAST_LEAD_S


def test_a_replica_is_sent_its_part_of_bursts_and_one_alone_all_of_them() -> None:
    bursts = Arrivals.parse("gamma:0.25")
    point = LoadPoint(batch_size=1, concurrency=1)
    gpu: Any = object()
    measured = MeasuredGpu(
        *[gpu] * 8, arrivals=bursts, demand={"split": 200.0, "whole": 50.0}
    )
    assert measured.arrivals_at(Member("split", point, 50.0)).gap_cv2 == 1.75
    assert measured.arrivals_at(Member("whole", point, 50.0)) == bursts
    assert measured.arrivals_at(Member("driven", point, None)) == bursts
