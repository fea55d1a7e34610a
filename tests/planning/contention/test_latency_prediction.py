"""Predicted latency: against theory, against a simulation, and its laws."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from gpupack.planning.contention.delays import CustomerClass, SharingShape
from gpupack.planning.contention.latency_prediction import (
    NUM_LEVELS,
    ArrivingTraffic,
    ServiceTimes,
    arriving_service_times,
    predict_percentiles,
    service_times,
)
from gpupack.records.profile import LoadPoint
from tests.factories import make_record
from tests.planning.contention.latency_simulation import SimulatedModel, simulate

SLICED = SharingShape(slice_s=0.0015)
FACTOR = 0.78


def constant(one: CustomerClass) -> ServiceTimes:
    return ServiceTimes(np.full(NUM_LEVELS, one.gpu_demand_s + one.elsewhere_s), 0.0, 1)


def predicted(
    classes: list[CustomerClass],
    traffic: list[ArrivingTraffic],
    *,
    services: list[ServiceTimes] | None = None,
    percentile: float = 99.0,
) -> list[float]:
    found = predict_percentiles(
        classes,
        services or [constant(one) for one in classes],
        traffic,
        [percentile],
        contention_factor=FACTOR,
        shape=SLICED,
    )
    return [one for (one,) in found]


def test_a_queue_of_exponential_services_has_the_latency_of_the_textbook() -> None:
    # M/M/1: the time in the system is exponential with rate μ − λ.
    shares = (np.arange(NUM_LEVELS) + 0.5) / NUM_LEVELS
    levels = -0.01 * np.log(1 - shares)
    service = ServiceTimes(levels, 0.0, 1)
    for rate in (30.0, 60.0):
        (found,) = predicted(
            [CustomerClass(0.005, 0.005)],
            [ArrivingTraffic(rate)],
            services=[service],
            percentile=95.0,
        )
        assert found == pytest.approx(-math.log(0.05) / (100 - rate), rel=0.04)


def test_the_predicted_p99_is_that_of_a_simulation_within_a_fifth() -> None:
    rng = random.Random(3)
    errors = []
    for num_models in (1, 2, 3, 5):
        classes = [
            CustomerClass(
                rng.choice([0.002, 0.004, 0.01, 0.02]), rng.choice([0.001, 0.004, 0.01])
            )
            for _ in range(num_models)
        ]
        rates = [
            rng.uniform(0.1, 0.55)
            / (one.gpu_demand_s + one.elsewhere_s)
            / (1 + 0.3 * (num_models - 1))
            for one in classes
        ]
        models = [
            SimulatedModel(rate, one.elsewhere_s, one.gpu_demand_s)
            for rate, one in zip(rates, classes, strict=True)
        ]
        delays = (FACTOR * np.asarray(SLICED.delay_table(classes))).tolist()
        simulate(models, delays, duration_s=3000 / min(rates), seed=1)
        found = predicted(classes, [ArrivingTraffic(rate) for rate in rates])
        errors += [
            p99 / float(np.percentile(model.latencies_s, 99)) - 1
            for p99, model in zip(found, models, strict=True)
        ]
    assert len(errors) == 11
    assert np.abs(errors).max() < 0.2
    assert abs(float(np.mean(errors))) < 0.08


def test_more_traffic_and_more_neighbors_never_make_latency_shorter() -> None:
    rng = random.Random(1)
    for _ in range(40):
        classes = [
            CustomerClass(rng.uniform(0.001, 0.02), rng.uniform(0.0, 0.02))
            for _ in range(3)
        ]
        rates = [
            rng.uniform(0.02, 0.3) / (one.gpu_demand_s + one.elsewhere_s)
            for one in classes
        ]
        traffic = [ArrivingTraffic(rate) for rate in rates]
        few = predicted(classes[:2], traffic[:2])
        more = predicted(classes, traffic)
        busier = predicted(classes, [ArrivingTraffic(rates[0] * 1.2), *traffic[1:]])
        assert all(a <= b * (1 + 1e-6) for a, b in zip(few, more, strict=False))
        assert all(a <= b * (1 + 1e-6) for a, b in zip(more, busier, strict=True))


def test_bursts_wait_longer_and_even_arrivals_shorter() -> None:
    one = CustomerClass(0.004, 0.006)
    even, poisson, bursts = (
        predicted([one], [ArrivingTraffic(50.0, cv2)])[0] for cv2 in (0.0, 1.0, 4.0)
    )
    assert even == pytest.approx(0.01, rel=0.01)  # never two at a time
    assert even < poisson < bursts


def test_an_instance_that_cannot_serve_its_traffic_has_no_latency() -> None:
    one = CustomerClass(0.004, 0.006)
    assert predicted([one], [ArrivingTraffic(101.0)]) == [math.inf]
    assert predicted([one], [ArrivingTraffic(None)]) == [math.inf]
    assert predicted([one], [ArrivingTraffic(0.0)]) == [pytest.approx(0.01)]


def test_two_instances_wait_for_each_other_less_than_one_for_itself() -> None:
    one = CustomerClass(0.004, 0.006)
    two = CustomerClass(0.004, 0.006, 2)
    (alone,) = predicted([one], [ArrivingTraffic(60.0)])
    (shared,) = predicted(
        [two],
        [ArrivingTraffic(60.0)],
        services=[ServiceTimes(constant(one).levels_s, 0.0, 2)],
    )
    assert shared < alone


def test_service_times_are_the_recorded_latencies_less_what_occupies_nothing() -> None:
    record = make_record(
        "m",
        load_point=LoadPoint(batch_size=1, concurrency=1),
        throughput_infer_per_sec=95.0,
        latency_mean_us=10_000.0,
        latency_p50_us=9_800.0,
        latency_p90_us=11_000.0,
        latency_p95_us=11_500.0,
        latency_p99_us=13_000.0,
        server_compute_input_us=100.0,
        server_compute_infer_us=9_000.0,
        server_compute_output_us=100.0,
    )
    found = service_times(record)
    assert found is not None
    assert found.overhead_s == pytest.approx(0.0008, abs=2e-5)  # 10 − 9.2 ms
    whole = found.levels_s + found.overhead_s
    assert float(whole.mean()) == pytest.approx(0.010, rel=0.01)
    assert float(np.percentile(whole, 90)) == pytest.approx(0.011, rel=0.01)


def test_requests_that_wait_for_each_other_in_a_profile_count_once() -> None:
    # Four in flight on one instance: each took 40 ms, three quarters of it waiting.
    record = make_record(
        "m",
        load_point=LoadPoint(batch_size=1, concurrency=4),
        throughput_infer_per_sec=100.0,
        num_model_instances=1,
        latency_mean_us=40_000.0,
        latency_p50_us=40_000.0,
    )
    found = service_times(record)
    assert found is not None
    assert float(found.levels_s.mean()) == pytest.approx(0.01)


def test_a_request_that_finds_nothing_running_wakes_its_instance() -> None:
    service = ServiceTimes(np.full(NUM_LEVELS, 0.010), 0.001, 1, wake_s=0.004)

    (idle,) = predicted(
        [CustomerClass(0.002, 0.008)], [ArrivingTraffic(1e-6)], services=[service]
    )
    median = [
        predicted(
            [CustomerClass(0.002, 0.008)],
            [ArrivingTraffic(rate)],
            services=[service],
            percentile=1.0,
        )[0]
        for rate in (1e-6, 60.0)
    ]

    assert idle == pytest.approx(0.015, rel=1e-3)
    # Half of the wake-up is the instance's, and not of requests that found it at work.
    assert median == pytest.approx([0.015, 0.013], rel=1e-3)


def test_neighbors_only_make_what_wakes_up_slower() -> None:
    service = ServiceTimes(np.full(NUM_LEVELS, 0.010), 0.0, 1, wake_s=0.004)
    one = CustomerClass(0.002, 0.008)
    for percentile in (50.0, 99.0):
        latencies = [
            predicted(
                [one] * number,
                [ArrivingTraffic(30.0)] * number,
                services=[service] * number,
                percentile=percentile,
            )[0]
            for number in range(1, 8)
        ]
        assert latencies == sorted(latencies)


def test_waking_up_takes_what_slow_answers_of_the_closed_loop_do() -> None:
    def woken(p99_us: float, cores: float | None) -> float:
        record = make_record(
            "m",
            load_point=LoadPoint(batch_size=1, concurrency=1),
            throughput_infer_per_sec=100.0,
            latency_mean_us=10_000.0,
            latency_p50_us=9_800.0,
            latency_p99_us=p99_us,
            host_cpu_cores=cores,
        )
        found = arriving_service_times(record)
        assert found is not None
        return found.wake_s

    steady, unsteady = woken(9_800.0, 1.0), woken(14_800.0, 1.0)
    assert steady == pytest.approx(0.0003, abs=1e-4)
    assert unsteady == pytest.approx(steady + 0.7 * 0.005, rel=0.1)
    # A model that waits for others most of the time has that much less to wake up.
    assert woken(14_800.0, 0.2) == pytest.approx(steady + 0.14 * 0.005, rel=0.1)
    assert woken(14_800.0, None) == unsteady
