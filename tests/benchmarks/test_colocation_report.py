"""The judged co-location figures hang together, and are those of what is shipped."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks.busy_report import read_busy
from benchmarks.colocation import RESULTS, split
from benchmarks.colocation_report import (
    Judgement,
    fitting_sets,
    judge,
    judge_plans,
    judged_sets,
    read_sessions,
)
from benchmarks.quick_calibration_report import sets_of_session
from gpupack.examples import load_example
from gpupack.planning.contention import mean_absolute_error
from gpupack.planning.contention.prediction import (
    DEFAULT_CONTENTION_FACTORS,
    DEFAULT_RETENTION_MARGINS,
    SHARING_SHAPES,
)
from gpupack.records.environment import SharingMode


@cache
def judgement() -> Judgement:
    return judge(read_sessions(RESULTS))


def test_no_model_is_in_both_halves() -> None:
    for session in read_sessions(RESULTS):
        recorded = {model.model_name for one in session for model in one.models}
        # Some sessions were of one half only.
        fitted, judged = split(recorded | set(load_example("h200").model_names))
        for one in session:
            names = {model.model_name for model in one.models}
            if one.label == "fit":
                assert names <= set(fitted)
            if one.label == "judge":
                assert names <= set(judged)


@pytest.mark.parametrize("mode", [SharingMode.TIME_SLICING, SharingMode.MPS])
def test_the_shipped_factor_fits_captured_and_busy_networks_best(
    mode: SharingMode,
) -> None:
    sessions = [
        one
        for one in read_sessions(RESULTS)
        if one[0].environment.sharing_mode is mode
        and (mode is not SharingMode.MPS or any(reading.probe for reading in one))
    ]
    captured = [*fitting_sets(sessions), *judged_sets(sessions)]
    busy = [
        one
        for session in read_busy(RESULTS)
        if session.sharing is mode
        for one in sets_of_session(session)
    ]
    shape = SHARING_SHAPES[mode]

    def error(factor: float) -> float:
        return mean_absolute_error(captured, factor, shape) + mean_absolute_error(
            busy, factor, shape
        )

    shipped = DEFAULT_CONTENTION_FACTORS[mode]
    assert error(shipped) < min(error(shipped - 0.1), error(shipped + 0.1))


def test_a_margin_holds_four_of_five_high_retentions() -> None:
    for part in judgement().parts:
        mode = SharingMode(part.sharing)
        if part.margin is not None:
            assert 0 <= DEFAULT_RETENTION_MARGINS[mode] - part.margin < 0.01


def test_the_model_beats_the_plain_rule_and_the_plain_network() -> None:
    for part in judgement().parts:
        figures = part.to_json()
        assert part.set_keys < part.all_keys
        assert figures["repeat_mae_points"] < figures["mae_points"]
        assert figures["mae_points"] < figures["rule_mae_points"]
        assert figures["mae_points"] < figures["one_factor_mae_points"]
        assert figures["one_factor_mae_points"] <= figures["plain_network_mae_points"]


def test_verified_plans_took_the_memory_that_was_predicted() -> None:
    plans = judge_plans(RESULTS)
    assert {"mps_0.9", "time_slicing_0.6"} <= plans.keys()
    for figures in plans.values():
        assert abs(float(str(figures["worst_memory_percent"]))) <= 3
