"""Simulated latency: its laws, and what records say of a simulated model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpupack import packing
from gpupack.planning.contention.delays import CustomerClass, SharingShape
from gpupack.planning.contention.latency_prediction import (
    NUM_LEVELS,
    ROUND_ROBIN,
    ArrivingTraffic,
    LatencyLimits,
)
from gpupack.planning.contention.latency_rule import LatencyRule
from gpupack.planning.contention.latency_simulation import (
    MAX_DRIVEN_REQUESTS,
    MAX_MODELS,
    MAX_PIECES,
    SimulatedModel,
    simulate_percentiles,
    simulated_model,
)
from gpupack.records.profile import LoadPoint, ProfileRecord, TurnReadings
from tests.factories import make_record


def steady(host_s: float, gpu_s: float, wake_s: float = 0.0) -> SimulatedModel:
    return SimulatedModel(np.full(NUM_LEVELS, host_s), gpu_s, 0.0, wake_s)


def simulated(
    models: list[SimulatedModel],
    rates: list[float | None],
    percentiles: tuple[float, ...] = (50.0, 99.0),
    gap_cv2: float = 1.0,
) -> list[tuple[float, ...]]:
    found = simulate_percentiles(
        models,
        [ArrivingTraffic(rate, gap_cv2) for rate in rates],
        percentiles,
        copies=[1] * len(models),
    )
    assert found is not None
    return found


def record_of(p99_us: float, **more: object) -> ProfileRecord:
    return make_record(
        "m",
        load_point=LoadPoint(batch_size=1, concurrency=1),
        throughput_infer_per_sec=100.0,
        latency_mean_us=10_000.0,
        latency_p50_us=9_000.0,
        latency_p90_us=p99_us,
        latency_p99_us=p99_us,
        gpu_utilization_mean_percent=20.0,
        **more,
    )


def test_the_median_of_an_idle_gpu_is_a_request_alone() -> None:
    found = simulated([steady(0.004, 0.002), steady(0.001, 0.001)], [0.1, 0.1])
    # Each finds the GPU changed over to the other, as often as not.
    assert [median for median, _ in found] == pytest.approx([0.006, 0.002], abs=2e-4)


def test_equal_questions_have_equal_answers() -> None:
    models = [steady(0.001, 0.003), steady(0.004, 0.002), steady(0.001, 0.001)]
    rates: list[float | None] = [80.0, 60.0, 150.0]
    assert simulated(models, rates) == simulated(models, rates)


def test_queues_of_a_busy_gpu_are_long_at_the_same_time() -> None:
    one = steady(0.0005, 0.0015)
    few = simulated([one] * 3, [60.0] * 3)[0]
    many = simulated([one] * 9, [60.0] * 9)[0]
    assert many[0] > 1.5 * few[0]
    assert many[1] / many[0] > 1.5 * few[1] / few[0]


def test_models_that_cannot_serve_have_no_latency_and_nor_have_driven_ones() -> None:
    (late,) = simulated([steady(0.006, 0.004)], [101.0])
    assert late == (math.inf, math.inf)
    beside = simulated([steady(0.001, 0.004), steady(0.0, 0.02)], [50.0, None])
    alone = simulated([steady(0.001, 0.004)], [50.0])
    assert beside[1] == (math.inf, math.inf)
    assert alone[0][1] < beside[0][1] < math.inf


def test_what_cannot_be_simulated_is_left_to_the_prediction() -> None:
    one = steady(0.001, 0.001)
    for number, rate in ((MAX_MODELS + 1, 1.0), (1, 0.0), (1, None)):
        traffic = [ArrivingTraffic(rate)]
        assert simulate_percentiles([one], traffic, [99.0], copies=[number]) is None


def test_bursts_wait_longer_and_even_arrivals_shorter() -> None:
    p99 = [
        simulated([steady(0.006, 0.004)], [50.0], (99.0,), cv2)[0][0]
        for cv2 in (0.0, 1.0, 4.0)
    ]
    assert p99[0] == pytest.approx(0.010, rel=0.01)
    assert p99 == sorted(p99)


def test_rare_requests_are_many_enough_for_a_percentile() -> None:
    # One in a thousand seconds: its p99 is about neighbors, not about one draw.
    found = simulated([steady(0.001, 0.002), steady(0.002, 0.003)], [0.001, 100.0])
    assert found[0][0] < found[0][1] < 0.02


def test_what_closed_loops_hide_is_in_the_hosts_part() -> None:
    one = CustomerClass(0.002, 0.008)
    spun = simulated_model(record_of(14_000.0, host_cpu_cores=1.0), one)
    asleep = simulated_model(record_of(14_000.0, host_cpu_cores=0.1), one)
    assert spun is not None
    assert asleep is not None
    assert spun.gpu_s == 0.002
    assert spun.wake_s > 0
    # Of a model at work all the time the slower answers count.
    assert float(spun.host_s.mean()) > float(asleep.host_s.mean()) + 0.001
    assert float(asleep.host_s.mean()) == pytest.approx(0.008, rel=0.1)


def test_several_instances_are_predicted_as_before() -> None:
    record = make_record(
        "m",
        load_point=LoadPoint(batch_size=1, concurrency=2),
        num_model_instances=2,
        throughput_infer_per_sec=100.0,
        latency_mean_us=20_000.0,
        gpu_utilization_mean_percent=20.0,
    )
    assert simulated_model(record, CustomerClass(0.002, 0.018, 2)) is None


def rule_of(shape: SharingShape) -> LatencyRule:
    return LatencyRule(
        LatencyLimits({}, frozenset(["m"])),
        [record_of(11_000.0), record_of(11_000.0)],
        [CustomerClass(0.002, 0.008)] * 2,
        [40.0, 40.0],
        contention_factor=1.0,
        shape=shape,
        margin=0.5,
    )


def test_only_turns_are_simulated_and_never_for_the_rule() -> None:
    counts = ((0, 1), (1, 1))
    in_turns, side_by_side = rule_of(ROUND_ROBIN), rule_of(SharingShape())
    assert in_turns.latencies_s(counts, [99.0]) != in_turns.latencies_by_rule_s(
        counts, [99.0]
    )
    assert side_by_side.latencies_s(counts, [99.0]) == (
        side_by_side.latencies_by_rule_s(counts, [99.0])
    )


def test_a_model_that_answers_at_once_does_not_make_the_simulation_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 100,000 requests a second beside one a minute, as fast as they are answered.
    horizons = []
    simulate = packing.simulate_round_robin

    def counted(*given: object, horizon: float, **more: object) -> object:
        horizons.append(horizon)
        return simulate(*given, horizon=horizon, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "simulate_round_robin", counted)

    (median, _), driven = simulated(
        [steady(0.004, 0.001), steady(0, 1e-5)], [1 / 60, None]
    )

    assert horizons == [pytest.approx(MAX_DRIVEN_REQUESTS * 1e-5)]
    assert median == pytest.approx(0.005, abs=0.0005)
    assert driven == (math.inf, math.inf)


def test_who_launches_ahead_waits_less_and_costs_others_less_at_once() -> None:
    burst = SimulatedModel(np.full(NUM_LEVELS, 0.020), 0.012, 0.0, 0.0)
    ahead = SimulatedModel(np.full(NUM_LEVELS, 0.031), 0.012, 0.0, 0.0, num_pieces=12)
    short = steady(0.001, 0.001)
    (_, own_burst), (_, beside_burst) = simulated([burst, short], [15.0, 100.0])
    (_, own_ahead), (_, beside_ahead) = simulated([ahead, short], [15.0, 100.0])
    # Alone both take 32 ms; a piece is shorter than a slice of the burst.
    assert own_ahead < own_burst
    assert beside_ahead < beside_burst


def test_many_pieces_do_not_make_the_simulation_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    horizons = []
    simulate = packing.simulate_round_robin

    def counted(*given: object, horizon: float, **more: object) -> object:
        horizons.append(horizon)
        return simulate(*given, horizon=horizon, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "simulate_round_robin", counted)
    many = SimulatedModel(
        np.full(NUM_LEVELS, 0.001), 0.001, 0.0, 0.0, num_waits=5, num_pieces=20
    )

    simulated([many, steady(0.001, 0.001)], [200.0, 200.0])

    assert horizons == [pytest.approx(MAX_PIECES / (200.0 * (100 + 1)))]


@pytest.mark.parametrize(
    ("busy_share", "high_us"), [(0.2, 200.0), (0.95, 200.0), (0.95, 800.0)]
)
def test_who_launches_ahead_takes_as_long_alone_as_a_burst(
    busy_share: float, high_us: float
) -> None:
    # Whether the host has more to do, or the GPU, and in many pieces or few.
    record = make_record(
        "m",
        load_point=LoadPoint(batch_size=1, concurrency=1),
        throughput_infer_per_sec=500.0,
        latency_mean_us=2000.0,
        latency_p50_us=2000.0,
        gpu_utilization_mean_percent=100 * busy_share,
    )
    readings = TurnReadings(
        kernel_alone_us=40.0,
        kernel_low_us=170.0,
        kernel_mean_us=190.0,
        kernel_high_us=high_us,
        throughput_alone_infer_per_sec=500.0,
        throughput_infer_per_sec=400.0,
    )
    one = CustomerClass(0.002 * busy_share, 0.002 * (1 - busy_share))
    burst = simulated_model(record, one)
    ahead = simulated_model(record.model_copy(update={"turns": readings}), one)
    assert burst is not None
    assert ahead is not None
    assert burst.num_pieces == 1 < ahead.num_pieces
    ((alone,),) = simulated([burst], [0.1], (50.0,))
    ((found,),) = simulated([ahead], [0.1], (50.0,))
    assert found == pytest.approx(alone, rel=0.01)
