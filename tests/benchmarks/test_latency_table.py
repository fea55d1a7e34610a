"""The table of recorded p99, and the limits that their sets may be promised."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.busy_report import read_busy
from benchmarks.colocation import RESULTS
from benchmarks.latency_table import (
    MeasuredLatency,
    limits_kept,
    read_latencies,
    share_near_median,
    tightest_times,
)
from gpupack.records.environment import SharingMode

ONE = MeasuredLatency(
    half="fit",
    sharing=SharingMode.MPS,
    model_name="one",
    num_models=2,
    planned_share=0.5,
    busy_share=0.5,
    is_launched=False,
    host_speed=1.0,
    predicted_s=0.011,
    by_rule_s=0.012,
    margin=0.5,
    alone_s=0.006,
    measured_s=0.010,
    interval_s=(0.009, 0.011),
    within_by_blocks=1.0,
    within_by_windows=None,
    num_requests=1000,
    is_kept_up=True,
)


def test_a_set_is_promised_what_all_its_models_are_predicted_to_keep() -> None:
    slower = replace(ONE, by_rule_s=0.016, measured_s=0.025)
    assert tightest_times([ONE]) == pytest.approx(3.0)
    assert tightest_times([ONE, slower]) == pytest.approx(4.0)
    # 18 ms are too tight for the second one; of 24 ms it takes more.
    assert limits_kept([[ONE, slower]], 3.0) == (0, [])
    assert limits_kept([[ONE, slower], [ONE, ONE]], None) == (
        2,
        [True, False, True, True],
    )
    assert limits_kept([[ONE, slower]], 6.0) == (1, [True, True])


def test_a_model_alone_and_few_requests_say_nothing_of_limits() -> None:
    rare = replace(ONE, num_requests=100, measured_s=1.0)
    assert limits_kept([[ONE]], 6.0) == (0, [])
    assert limits_kept([[ONE, rare]], 6.0) == (1, [True])


def test_measurements_near_their_median_are_counted() -> None:
    assert share_near_median([1.0, 1.1, 1.0, 2.0]) == 0.75
    assert share_near_median([math.inf, math.inf, 1.0]) == 0.0


def test_simulated_measurements_of_a_full_gpu_differ_more_than_of_an_idle_one() -> None:
    (session,) = (
        one
        for one in read_busy(RESULTS)
        if one.half == "fit" and one.sharing is SharingMode.TIME_SLICING
    )
    rows = [one for models in read_latencies(session, 8) for one in models]
    shares = {
        is_full: [
            one.within_by_windows
            for one in rows
            if one.within_by_windows is not None and (one.busy_share > 0.85) == is_full
        ]
        for is_full in (False, True)
    }
    idle, full = (sum(shares[key]) / len(shares[key]) for key in (False, True))
    assert full < idle
