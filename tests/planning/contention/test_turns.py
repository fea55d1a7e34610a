"""What the probe tells of models in turns, and what a simulation makes of it."""

from __future__ import annotations

import math

import pytest

from gpupack import packing
from gpupack.planning.contention import (
    Contention,
    LatencyLimits,
    RetentionRule,
    SharedGpu,
    retentions_of,
)
from gpupack.planning.contention.prediction import customer_class
from gpupack.planning.contention.sharing import resolve_contention
from gpupack.planning.contention.turns import (
    SLICE_S,
    SWITCH_S,
    simulate_retentions,
    turn_taker,
    turns_of,
)
from gpupack.profile_set import ProfileSet
from gpupack.records.environment import SharingMode
from gpupack.records.profile import ProfileRecord, TurnReadings
from tests.planning.contention.test_contention import make_record

HALF_SLICE_S = SLICE_S / 2 + SWITCH_S
ROUND_S = SLICE_S + 2 * SWITCH_S


def make_readings(
    turn_s: float, delay_s: float, *, cycle_s: float = 0.01
) -> TurnReadings:
    high_us = 30 + 1e6 * (SWITCH_S + turn_s)
    return TurnReadings(
        kernel_alone_us=30,
        kernel_low_us=30 + 1e6 * SWITCH_S,
        kernel_mean_us=high_us / 2 + 80,
        kernel_high_us=high_us,
        throughput_alone_infer_per_sec=1 / cycle_s,
        throughput_infer_per_sec=1 / (cycle_s + delay_s),
    )


def make_model(
    gpu_s: float, cycle_s: float, *, turn_s: float, delay_s: float, name: str = "model"
) -> ProfileRecord:
    record = make_record(
        name,
        throughput_infer_per_sec=1 / cycle_s,
        gpu_utilization_mean_percent=100 * gpu_s / cycle_s,
    )
    readings = make_readings(turn_s, delay_s, cycle_s=cycle_s)
    return record.model_copy(update={"turns": readings})


@pytest.mark.parametrize(
    ("gpu_s", "delay_s", "num_waits"),
    [(0.0008, 0.9 * HALF_SLICE_S, 1), (0.003, 1.1 * HALF_SLICE_S, 1), (0.003, 0.0, 1)],
)
def test_short_turns_are_of_a_model_that_launches_ahead(
    gpu_s: float, delay_s: float, num_waits: int
) -> None:
    turns = turns_of(make_readings(20e-6, delay_s), 1, gpu_s, 0.007)
    assert turns.is_ahead
    assert turns.num_waits == num_waits
    assert turns.num_pieces(gpu_s) == min(50, math.ceil(gpu_s / turns.turn_s))


def test_a_model_that_launches_ahead_may_wait_several_times() -> None:
    turns = turns_of(make_readings(20e-6, 3 * HALF_SLICE_S), 1, 0.001, 0.006)
    assert (turns.is_ahead, turns.num_waits) == (True, 3)


@pytest.mark.parametrize(
    ("gpu_s", "delay_s", "most_s"),
    [
        (0.0010, HALF_SLICE_S, SLICE_S),
        (0.0030, HALF_SLICE_S + ROUND_S, 2 * SLICE_S),
        # So near two slices that the delay must tell.
        (0.00215, HALF_SLICE_S, SLICE_S),
        (0.00215, HALF_SLICE_S + ROUND_S, 2 * SLICE_S),
    ],
)
def test_a_burst_takes_as_many_slices_as_its_delay_tells(
    gpu_s: float, delay_s: float, most_s: float
) -> None:
    turns = turns_of(make_readings(min(gpu_s, SLICE_S), delay_s), 1, gpu_s, 0.007)
    assert not turns.is_ahead
    assert turns.num_pieces(gpu_s) == 1
    assert turns.num_waits == 1
    assert turns.most_gpu_s == pytest.approx(most_s)


def test_a_short_burst_with_long_delays_waits_more_than_once() -> None:
    turns = turns_of(make_readings(0.0008, 3 * HALF_SLICE_S), 1, 0.0008, 0.006)
    assert (turns.is_ahead, turns.num_waits) == (False, 3)


def simulated(*records: ProfileRecord) -> list[float]:
    takers = [turn_taker(one, customer_class(one, 1.0)) for one in records]
    found = simulate_retentions(
        [one for one in takers if one is not None], [1] * len(records)
    )
    assert found is not None
    assert len(found) == len(records)
    return found


def test_two_busy_models_of_whole_slices_share_by_turns() -> None:
    busy = make_model(SLICE_S, SLICE_S * 1.001, turn_s=SLICE_S, delay_s=ROUND_S)
    for share in simulated(busy, busy):
        assert share == pytest.approx(SLICE_S / (2 * (SLICE_S + SWITCH_S)), abs=0.01)


def test_who_launches_ahead_loses_less_than_who_waits_for_every_slice() -> None:
    busy = make_model(0.0020, 0.0025, turn_s=0.002, delay_s=0.0018)
    burst = make_model(0.004, 0.010, turn_s=0.0021, delay_s=HALF_SLICE_S + ROUND_S)
    ahead = make_model(0.004, 0.010, turn_s=20e-6, delay_s=HALF_SLICE_S)
    assert simulated(busy, ahead)[1] > simulated(busy, burst)[1] + 0.05
    # The GPU goes to and fro for it, which its neighbor pays for.
    assert simulated(busy, ahead)[0] < 1


def test_the_simulation_is_shown_and_the_rule_stays_with_the_formulas() -> None:
    records = [
        make_model(0.002, 0.0025, turn_s=0.002, delay_s=0.0018),
        make_model(0.004, 0.010, turn_s=20e-6, delay_s=HALF_SLICE_S, name="ahead"),
    ]
    contention = resolve_contention(
        ProfileSet(records=tuple(records)),
        records[0].gpu_type,
        SharingMode.TIME_SLICING,
    )
    rule = RetentionRule(records, contention, {})
    counts = ((0, 1), (1, 1))
    expected = rule.expected_retentions(counts)
    assert expected != rule.retentions(counts)
    assert rule.expected_retentions(counts[::-1]) == expected[::-1]
    gpu = SharedGpu(records[0].gpu_type, tuple(records), (1.0, 1.0))
    assert retentions_of([gpu], contention) == [expected]
    # Without the readings of every model, and with less traffic, by the formulas.
    plain = [records[0], records[1].model_copy(update={"turns": None})]
    unread = RetentionRule(plain, contention, {})
    assert unread.expected_retentions(counts) == unread.retentions(counts)
    lighter = RetentionRule(records, contention, {}, loads=[0.5, 0.5])
    assert lighter.expected_retentions(counts) == lighter.retentions(counts)


def test_of_too_many_different_gpus_none_is_simulated() -> None:
    records = [
        make_model(0.002, 0.0025, turn_s=0.002, delay_s=0.0018),
        make_model(0.004, 0.010, turn_s=20e-6, delay_s=HALF_SLICE_S, name="ahead"),
    ]
    contention = resolve_contention(
        ProfileSet(records=tuple(records)),
        records[0].gpu_type,
        SharingMode.TIME_SLICING,
    )
    gpu = SharedGpu(records[0].gpu_type, tuple(records), (1.0, 1.0))
    by_formulas = RetentionRule(records, contention, {}).retentions(((0, 1), (1, 1)))
    assert retentions_of([gpu] * 700, contention) == [by_formulas] * 700


def test_where_there_are_no_kernels_the_formulas_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = [
        make_model(0.002, 0.0025, turn_s=0.002, delay_s=0.0018),
        make_model(0.004, 0.010, turn_s=20e-6, delay_s=HALF_SLICE_S, name="ahead"),
    ]
    contention = resolve_contention(
        ProfileSet(records=tuple(records)),
        records[0].gpu_type,
        SharingMode.TIME_SLICING,
    )
    limits = LatencyLimits({}, frozenset({"model", "ahead"}), percentile=99.0)
    rule = RetentionRule(records, contention, {}, latency=limits)
    lighter = RetentionRule(records, contention, {}, loads=[0.3, 0.3], latency=limits)
    counts = ((0, 1), (1, 1))
    simulated = lighter.latencies_s(counts, [99.0])
    monkeypatch.setattr(packing, "kernels_are_ready", lambda *, wait_s: False)
    assert rule.expected_retentions(counts) == rule.retentions(counts)
    by_rule = lighter.latencies_by_rule_s(counts, [99.0])
    assert lighter.latencies_s(counts, [99.0]) == by_rule != simulated


def test_what_launches_ahead_is_promised_latencies_with_a_wider_margin() -> None:
    ahead = make_model(0.002, 0.010, turn_s=20e-6, delay_s=HALF_SLICE_S, name="ahead")
    burst = make_model(0.002, 0.010, turn_s=0.002, delay_s=HALF_SLICE_S, name="burst")
    unread = burst.model_copy(update={"turns": None})
    margins = []
    for record in (ahead, unread, burst):
        contention = resolve_contention(
            ProfileSet(records=(record,)), record.gpu_type, SharingMode.TIME_SLICING
        )

        def rule(
            limit_s: float,
            record: ProfileRecord = record,
            contention: Contention = contention,
        ) -> RetentionRule:
            names = frozenset({record.model_name})
            limits = LatencyLimits({record.model_name: limit_s}, names, percentile=99.0)
            return RetentionRule([record], contention, {}, loads=[0.3], latency=limits)

        ((expected_s,),) = rule(1.0).latencies_by_rule_s(((0, 1),), [99.0])
        margins.append(
            next(
                margin
                for margin in (0.1, 0.2, 0.4, 0.5, 0.8, 0.9)
                if rule(expected_s * (1 + margin)).is_allowed(((0, 1),))
            )
        )
    assert margins == [0.9, 0.5, 0.2]
