"""Latency limits that are about planned traffic beside neighbors."""

from __future__ import annotations

import pytest

import gpupack
from gpupack.errors import InfeasibleError, InvalidInputError, NotFoundInTimeError
from gpupack.planning.modeling import ask
from gpupack.planning.solving.check import check_placement
from gpupack.records.request import LatencyRule
from gpupack.report.cautions import cautions_of
from tests.factories import make_profiles, make_timed_record

NAMES = "abcdef"
DEMAND = dict.fromkeys(NAMES, 30.0)


def profiles() -> gpupack.ProfileSet:
    return make_profiles(*(make_timed_record(name) for name in NAMES))


def placed(limit_ms: float, **asked: object) -> gpupack.Placement:
    return gpupack.place(
        profiles(),
        demand=DEMAND,
        latency_limit_ms=limit_ms,
        time_limit_s=3,
        workers=1,
        max_replicas=1,  # else several with little traffic each may share GPUs
        **asked,  # type: ignore[arg-type]
    )


def test_a_limit_alone_is_told_with_what_is_predicted_at_the_traffic() -> None:
    placement = placed(25)
    latencies = [one.predicted_latency_us for one in placement.gpus[0].assignments]
    assert all(one is not None and one > 25_000 for one in latencies)
    assert "latency limits, kept alone, are not kept as predicted" in str(placement)
    assert "of 25 ms" in str(placement)


def test_a_predicted_limit_puts_fewer_models_on_a_gpu_and_is_kept() -> None:
    alone, kept = placed(60), placed(60, latency="predicted")
    assert kept.num_gpus > alone.num_gpus
    for gpu in kept.gpus:
        for one in gpu.assignments:
            assert one.latency_limit_ms == 60
            assert one.predicted_latency_p50_us is not None
            assert one.predicted_latency_us is not None
            assert one.predicted_latency_p50_us < one.predicted_latency_us <= 60_000
    assert kept.bound <= kept.num_gpus
    assert not any("latency limits" in text for text in kept.warnings)
    assert placed(90, latency="predicted").num_gpus == alone.num_gpus


def test_bursts_want_more_gpus_than_even_arrivals() -> None:
    even, bursts = (
        placed(101, latency="predicted", arrivals=arrivals).num_gpus
        for arrivals in ("constant", "gamma:0.5")
    )
    assert even < bursts


def test_the_check_finds_a_placement_that_is_predicted_too_late() -> None:
    request = gpupack.Request(
        latency="predicted",
        defaults={"demand": 30, "latency_limit_ms": 25},
    )
    question = ask(profiles(), request)
    late = placed(25).model_copy(update={"request": request, "min_retention": {}})
    with pytest.raises(gpupack.CheckError, match="at its traffic, not within 25"):
        check_placement(late, question)


def test_a_condition_that_the_prediction_sees_broken_is_told_as_one() -> None:
    late = placed(25)
    assert late.request is not None
    as_condition = late.request.model_copy(update={"latency": LatencyRule.PREDICTED})
    cautions = cautions_of(late.model_copy(update={"request": as_condition}))
    (told,) = (one for one in cautions if "latency limits" in one)
    assert "kept by the planner's rule, are not kept as predicted" in told
    assert "makes it a condition" not in told


def test_what_no_plan_keeps_is_told() -> None:
    # 13 ms is what a model takes alone: a limit below it cannot be kept by anything.
    with pytest.raises(InfeasibleError, match="raise the limit"):
        placed(12, latency="predicted")
    with pytest.raises(NotFoundInTimeError, match="raise the limits, lower the dem"):
        placed(13.5, latency="predicted")


def test_a_predicted_limit_needs_traffic() -> None:
    with pytest.raises(InvalidInputError, match="requests that arrive: give demand"):
        gpupack.place(
            profiles(),
            demand={"a": 30},
            latency_limit_ms={"a": 40, "b": 40},
            latency="predicted",
        )


@pytest.mark.parametrize("arrivals", ["bursts", "gamma:0", "times.txt", 3])
def test_planned_arrivals_are_named(arrivals: object) -> None:
    with pytest.raises(InvalidInputError, match="poisson, constant, or gamma"):
        placed(40, latency="predicted", arrivals=arrivals)


def test_the_explanation_names_the_limit_that_is_nearest() -> None:
    text = str(placed(60, latency="predicted").explain())
    assert "of 6 latency limits that of 'a' on GPU 0 is nearest: its p99" in text
