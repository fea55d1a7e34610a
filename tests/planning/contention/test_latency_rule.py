"""Service times told by profiles of requests that arrived."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpupack
from gpupack.planning.contention.delays import CustomerClass, SharingShape
from gpupack.planning.contention.latency_prediction import (
    NUM_LEVELS,
    ROUND_ROBIN,
    ArrivingTraffic,
    LatencyLimits,
    ServiceTimes,
    predict_percentiles,
)
from gpupack.planning.contention.latency_rule import (
    MOST_PLANNED,
    SATURATION_MARGIN,
    LatencyRule,
    is_of_arrivals,
    open_loop_service_times,
)
from gpupack.profile_set import ProfileSet
from gpupack.records.profile import LoadPoint, OpenLoop, ProfileRecord
from tests.factories import make_baseline, make_record

SERVICE_S = 0.01
Draw = Callable[[np.random.Generator, int], np.ndarray]


def equal(chance: np.random.Generator, number: int) -> np.ndarray:
    return np.full(number, SERVICE_S)


def varied(chance: np.random.Generator, number: int) -> np.ndarray:
    return SERVICE_S * chance.lognormal(-0.045, 0.3, number)  # of mean 1


def latencies_s(
    rate: float, draw: Draw, *, num: int = 1, number: int = 40_000
) -> np.ndarray:
    """What requests take that arrive by chance, event by event."""
    chance = np.random.default_rng(7)
    due = np.cumsum(chance.exponential(1 / rate, number))
    free = [0.0] * num
    found = []
    for begin, service in zip(due, draw(chance, number), strict=True):
        end = max(heapq.heappop(free), begin) + service
        heapq.heappush(free, end)
        found.append(end - begin)
    return np.array(found)


def recorded(
    rate: float, latencies: np.ndarray, *, is_kept_up: bool = True, **values: Any
) -> ProfileRecord:
    told = OpenLoop(
        arrivals="poisson",
        asked_requests_per_sec=rate,
        offered_requests_per_sec=rate,
        sent_requests_per_sec=rate,
        late_share=0.0,
        is_sent=True,
        is_kept_up=is_kept_up,
    )
    percentiles = {
        f"latency_p{one}_us": 1e6 * float(np.percentile(latencies, one))
        for one in (50, 90, 95, 99)
    }
    fields: dict[str, Any] = {
        "load_point": LoadPoint(batch_size=1, requests_per_sec=rate),
        "throughput_infer_per_sec": rate,
        "num_model_instances": 1,
        "latency_mean_us": 1e6 * float(latencies.mean()),
        "open_loop": told,
        "gpu_utilization_mean_percent": 50 * rate * SERVICE_S,
    }
    return make_record(**(fields | percentiles | values))


@pytest.mark.parametrize("draw", [equal, varied])
@pytest.mark.parametrize("num", [1, 2])
@pytest.mark.parametrize("busy", [0.1, 0.4, 0.8])
def test_a_service_is_told_from_the_wait_however_much_was_sent(
    draw: Draw, num: int, busy: float
) -> None:
    rate = busy * num / SERVICE_S
    record = recorded(rate, latencies_s(rate, draw, num=num), num_model_instances=num)
    found = open_loop_service_times(record)
    assert found is not None
    assert found.num_instances == num
    assert found.levels_s.mean() == pytest.approx(SERVICE_S, rel=0.06)
    for other in (0.3, 0.7):
        sent = other * num / SERVICE_S
        ((p99,),) = predict_percentiles(
            [CustomerClass(0.005, 0.005)],
            [found],
            [ArrivingTraffic(sent)],
            [99.0],
            contention_factor=1.0,
            shape=SharingShape(slice_s=0.002),
        )
        true = np.percentile(latencies_s(sent, draw, num=num), 99)
        assert p99 == pytest.approx(true, rel=0.2)


def test_what_the_server_counted_is_the_service_and_the_rest_is_added() -> None:
    rate = 50.0
    record = recorded(
        rate,
        latencies_s(rate, equal) + 0.004,
        server_compute_input_us=1_000.0,
        server_compute_infer_us=8_000.0,
        server_compute_output_us=1_000.0,
        server_queue_us=5_000.0,  # ρ S / (2 (1 - ρ)) at ρ = 1/2
    )
    found = open_loop_service_times(record)
    assert found is not None
    assert found.levels_s.mean() == pytest.approx(SERVICE_S)
    assert found.overhead_s == pytest.approx(0.004, rel=0.1)


def test_a_table_of_a_rate_that_says_nothing_else_of_it_is_read_alike() -> None:
    rate = 40.0
    record = recorded(rate, latencies_s(rate, equal), open_loop=None)
    assert is_of_arrivals(record)
    found = open_loop_service_times(record)
    assert found is not None
    assert found.levels_s.mean() == pytest.approx(SERVICE_S, rel=0.06)


def test_without_latencies_nothing_is_known() -> None:
    record = make_record(load_point=LoadPoint(batch_size=1, requests_per_sec=20.0))
    assert open_loop_service_times(record) is None


def test_a_server_that_fell_behind_shows_what_it_can_do() -> None:
    behind = recorded(200.0, latencies_s(50.0, equal), is_kept_up=False)
    assert not is_of_arrivals(behind)
    assert not is_of_arrivals(make_record())


@pytest.mark.parametrize("rate", [5.0, 20.0, 70.0])
def test_traffic_that_was_measured_is_planned_with_the_latency_it_had(
    rate: float,
) -> None:
    # Its throughput is what was sent: no sign that it is busy all the time.
    measured = latencies_s(rate, equal)
    record = recorded(rate, measured, model_name="m", gpu_utilization_percent=60.0)
    placement = gpupack.place(
        ProfileSet(records=(record,), baselines=(make_baseline(),)),
        demand={"m": rate},
        max_replicas={"m": 1},
        latency_limit_ms={"m": 200.0},
        latency="predicted",
    )
    (one,) = placement.gpus[0].assignments
    assert one.predicted_latency_us == pytest.approx(
        1e6 * float(np.percentile(measured, 99)), rel=0.15
    )


@pytest.mark.parametrize("gap_cv2", [0.0, 0.25, 4.0])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_traffic_split_by_chance_waits_as_the_arrivals_of_its_part_do(
    gap_cv2: float, share: float
) -> None:
    chance = np.random.default_rng(11)
    rate = 60.0 / share  # at all replicas together; 60 at this one
    number = int(60_000 / share)
    gaps = np.full(number, 1 / rate)
    if gap_cv2:
        gaps = chance.gamma(1 / gap_cv2, gap_cv2 / rate, number)
    due = np.cumsum(gaps)[chance.random(number) < share]
    parts = np.diff(due)
    limits = LatencyLimits(
        {}, frozenset({"model"}), gap_cv2=gap_cv2, demand={"model": 2 * rate}
    )
    sent = limits.traffic_of("model", 60.0, batch_size=2)
    assert sent.requests_per_s == 60.0
    assert float((parts.std() / parts.mean()) ** 2) == pytest.approx(
        sent.gap_cv2, abs=0.02 + 0.03 * sent.gap_cv2
    )
    free, taken = 0.0, []
    for begin in due:
        free = max(free, begin) + SERVICE_S
        taken.append(free - begin)
    service = ServiceTimes(np.full(NUM_LEVELS, SERVICE_S), 0.0, 1)
    ((late_s,),) = predict_percentiles(
        [CustomerClass(SERVICE_S / 2, SERVICE_S / 2)],
        [service],
        [sent],
        [99.0],
        contention_factor=1.0,
        shape=ROUND_ROBIN,
    )
    # By two moments of the gaps: sums of equal gaps wait less than others with these.
    longest = 1.25 if gap_cv2 or share == 1 else 1.7
    assert 0.85 <= late_s / np.percentile(taken, 99) <= longest


def test_poisson_arrivals_stay_poisson_and_one_replica_has_all_bursts() -> None:
    limits = LatencyLimits({}, frozenset({"model"}), demand={"model": 100.0})
    assert limits.traffic_of("model", 30.0, 1).gap_cv2 == 1.0
    bursts = LatencyLimits(
        {}, frozenset({"model"}), gap_cv2=4.0, demand={"model": 100.0}
    )
    assert bursts.traffic_of("model", 100.0, 1).gap_cv2 == 4.0
    assert bursts.traffic_of("model", 25.0, 1).gap_cv2 == 1.75
    assert bursts.traffic_of("other", 25.0, 1).gap_cv2 == 4.0


def rule_at(rate: float, shape: SharingShape) -> LatencyRule:
    """Three models of 2 ms at the GPU of a request of 5 ms, the last one driven."""
    records = [make_record(model_name=name) for name in ("first", "second", "driven")]
    return LatencyRule(
        LatencyLimits({}, frozenset({"first", "second"})),
        records,
        [CustomerClass(0.002, 0.003)] * 3,
        [rate, rate, 0.0],
        contention_factor=1.0,
        shape=shape,
        margin=0.4,
    )


def test_in_turns_the_margin_grows_with_what_little_is_left_of_the_gpu() -> None:
    rule = rule_at(100.0, ROUND_ROBIN)
    (alone,) = rule.margins(((0, 1),))  # 20 % of the GPU is planned
    assert alone == pytest.approx(0.4 * (1 + SATURATION_MARGIN * 0.2 / 0.8))
    beside = rule.margins(((0, 1), (1, 2)))  # two of the other: 60 %
    assert beside == pytest.approx([0.4 * (1 + SATURATION_MARGIN * 0.6 / 0.4)] * 2)
    driven = rule.margins(((0, 1), (2, 1)))  # a driven one has the GPU for 2 of 5 ms
    assert driven == pytest.approx(beside)
    full = rule_at(1000.0, ROUND_ROBIN).margins(((0, 1), (1, 1)))
    most = MOST_PLANNED / (1 - MOST_PLANNED)
    assert full == pytest.approx([0.4 * (1 + SATURATION_MARGIN * most)] * 2)


def test_side_by_side_the_margin_is_the_same_however_busy_the_gpu_is() -> None:
    rule = rule_at(100.0, SharingShape())
    assert rule.margins(((0, 1), (1, 2))) == [0.4, 0.4]
