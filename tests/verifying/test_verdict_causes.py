"""Why promises are broken, and limits of latency, without a server."""

from __future__ import annotations

import pytest

import gpupack
from gpupack.records.colocation import CoLocatedModel, CoLocation
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType
from gpupack.records.profile import (
    BetweenLoads,
    FreshLoad,
    LatencyPercentile,
    LoadPoint,
    OpenLoop,
    ProfileRecord,
)
from gpupack.records.running.verification import GpuVerification, ModelVerdict, Outcome
from gpupack.report.verification import format_verification
from gpupack.verifying.verdict import judge_gpu
from tests.factories import make_profiles, make_record

POINT = LoadPoint(batch_size=1, concurrency=1)
PROFILED = 100.0
LIMIT_MS = 50.0


def reached(name: str, rate: float, **more: object) -> CoLocatedModel:
    return CoLocatedModel(
        model_name=name,
        load_point=POINT,
        throughput_infer_per_sec=rate,
        is_stable=True,
        is_client_limited=False,
        **more,  # type: ignore[arg-type]
    )


def measured(*models: CoLocatedModel) -> CoLocation:
    return CoLocation.with_reason(
        "not read in this test",
        models=models,
        duration_s=10.0,
        gpu_type=GpuType(name="H200", memory_bytes=2**37),
        environment=Environment(source="test"),
    )


def judged(
    alone: float, beside: float, *, predicted: float = 80.0
) -> tuple[GpuVerification, ModelVerdict]:
    placement = gpupack.place(
        make_profiles(
            *(
                make_record(name, load_point=POINT, throughput_infer_per_sec=PROFILED)
                for name in "mn"
            )
        )
    )
    (gpu,) = placement.gpus
    gpu = gpu.model_copy(
        update={
            "assignments": tuple(
                one.model_copy(update={"predicted_infer_per_sec": predicted})
                for one in gpu.assignments
            )
        }
    )
    found = judge_gpu(
        placement,
        gpu,
        [
            measured(reached("m", alone)),
            measured(reached("n", PROFILED)),
            measured(reached("m", beside), reached("n", predicted)),
        ],
        digest="x",
        tolerance=0.1,
    )
    return found, found.models[0]


def test_a_model_that_neighbors_slow_down_is_broken_by_them() -> None:
    gpu, model = judged(alone=PROFILED, beside=50.0)
    assert model.outcome is Outcome.BROKEN
    assert not gpu.is_kept


def test_a_model_that_is_slow_by_itself_is_told_with_both_figures() -> None:
    # 80 of 100 were predicted; it keeps 48 of 60, just as many of a hundred.
    gpu, model = judged(alone=60.0, beside=48.0)
    assert model.outcome is Outcome.SLOWER_ALONE
    assert not gpu.is_kept
    assert "alone it reaches 60.0 now, 100.0 when profiled" in gpu.broken[0]
    assert "BROKEN: slower alone than profiled" in format_verification([gpu])


def test_a_model_that_is_slow_by_itself_and_for_its_neighbors_is_broken() -> None:
    _, model = judged(alone=60.0, beside=20.0)
    assert model.outcome is Outcome.BROKEN


def test_what_reaches_its_promise_is_kept_however_slow_alone() -> None:
    _, model = judged(alone=75.0, beside=74.0)
    assert model.outcome is Outcome.KEPT


def profiled_over_loads(low: float) -> ProfileRecord:
    """A record of several loads, of which another may have ``low`` at least."""
    return make_record(
        "m",
        load_point=POINT,
        throughput_infer_per_sec=PROFILED,
        gpu_utilization_mean_percent=40.0,
        loads=tuple(FreshLoad(throughput_infer_per_sec=one) for one in (80.0, 120.0)),
        between_loads=BetweenLoads(
            spread_ratio=0.2,
            low_infer_per_sec=low,
            high_infer_per_sec=150.0,
            do_differ=True,
        ),
    )


@pytest.mark.parametrize(
    ("reached_now", "demand", "outcome"),
    [
        # 100 profiled, 60 the least of another load: 54 must be reached.
        (56.0, None, Outcome.KEPT),
        (52.0, None, Outcome.SLOWER_ALONE),
        # Traffic is wanted whatever the load.
        (56.0, 70.0, Outcome.SLOWER_ALONE),
    ],
)
def test_a_throughput_promises_no_more_than_another_load_may_have(
    reached_now: float, demand: float | None, outcome: Outcome
) -> None:
    placement = gpupack.place(
        make_profiles(profiled_over_loads(60.0)),
        demand=None if demand is None else {"m": demand},
    )
    offered = {} if demand is None else {"offered_infer_per_sec": demand}
    found = judge_gpu(
        placement,
        placement.gpus[0],
        [measured(reached("m", reached_now, **offered))],
        digest="x",
        tolerance=0.1,
    )
    (model,) = found.models
    assert model.outcome is outcome
    assert model.profiled_low_infer_per_sec == 60.0


def test_a_restarted_server_leaves_every_promise_unknown() -> None:
    placement = gpupack.place(make_profiles(make_record("m"), make_record("n")))
    found = judge_gpu(
        placement,
        placement.gpus[0],
        (),
        digest="x",
        tolerance=0.1,
        restarted="it had counted 900 requests of m, and has counted 12 now",
    )
    assert {one.outcome for one in found.models} == {Outcome.NOT_JUDGED}
    assert not found.is_kept
    assert not found.is_broken
    assert "900 requests" in format_verification([found])


def open_loop(**more: object) -> OpenLoop:
    return OpenLoop.model_validate(
        {
            "arrivals": "poisson",
            "asked_requests_per_sec": 30.0,
            "offered_requests_per_sec": 30.0,
            "sent_requests_per_sec": 30.0,
            "late_share": 0.0,
            "is_sent": True,
            "is_kept_up": True,
            **more,
        }
    )


def judged_latency(
    interval_ms: tuple[float, float | None] | None, **more: object
) -> ModelVerdict:
    """The verdict on ``m``, whose p99 was measured to be in this interval."""
    profiles = make_profiles(
        make_record(
            "m",
            load_point=POINT,
            throughput_infer_per_sec=PROFILED,
            latency_p50_us=9_000.0,
            latency_p99_us=12_000.0,
            gpu_utilization_percent=40.0,
            gpu_utilization_mean_percent=40.0,
            num_model_instances=1,
        )
    )
    placement = gpupack.place(
        profiles,
        demand={"m": 20.0},
        latency_limit_ms=LIMIT_MS,
        latency="predicted",
        max_replicas=1,
    )
    percentiles = ()
    if interval_ms is not None:
        low, high = interval_ms
        percentiles = (
            LatencyPercentile(
                percentile=99,
                value_us=1000 * (low + 1),
                low_us=1000 * low,
                high_us=None if high is None else 1000 * high,
                num_requests=700,
            ),
        )
    model = reached(
        "m",
        20.0,
        offered_infer_per_sec=20.0,
        latency_percentiles=percentiles,
        open_loop=open_loop(**more),
    )
    found = judge_gpu(
        placement, placement.gpus[0], [measured(model)], digest="x", tolerance=0.1
    )
    (verdict,) = found.models
    assert verdict.latency_limit_ms == LIMIT_MS
    return verdict


@pytest.mark.parametrize(
    ("interval_ms", "outcome", "told"),
    [
        ((30.0, 49.0), Outcome.KEPT, ""),
        ((51.0, 70.0), Outcome.BROKEN, "50 ms were promised"),
        ((45.0, 55.0), Outcome.NOT_JUDGED, "between 45 to 55 ms"),
        ((45.0, None), Outcome.NOT_JUDGED, "no known end"),
        (None, Outcome.NOT_JUDGED, "0 requests ended, and a p99 needs 662"),
    ],
)
def test_a_limit_is_judged_by_the_whole_interval(
    interval_ms: tuple[float, float | None] | None, outcome: Outcome, told: str
) -> None:
    verdict = judged_latency(interval_ms)
    assert verdict.outcome is outcome
    assert told in (verdict.broken or verdict.not_judged or "")


def test_a_late_client_breaks_no_limit() -> None:
    verdict = judged_latency((51.0, 70.0), late_share=0.2)
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert "its client was late" in (verdict.not_judged or "")


def test_a_rate_that_the_client_could_not_offer_is_told_with_figures() -> None:
    placement = gpupack.place(
        make_profiles(
            make_record(
                "m",
                load_point=POINT,
                throughput_infer_per_sec=PROFILED,
                gpu_utilization_mean_percent=40.0,
            )
        ),
        demand={"m": 90.0},
    )
    model = reached(
        "m",
        40.0,
        offered_infer_per_sec=90.0,
        open_loop=open_loop(
            asked_requests_per_sec=90.0,
            offered_requests_per_sec=89.5,
            sent_requests_per_sec=40.5,
            is_sent=False,
        ),
    ).model_copy(update={"is_client_limited": True, "is_stable": False})
    found = judge_gpu(
        placement, placement.gpus[0], [measured(model)], digest="x", tolerance=0.1
    )
    (verdict,) = found.models
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert not found.is_kept
    assert "40.5 of 89.5 requests a second were sent" in (verdict.not_judged or "")
