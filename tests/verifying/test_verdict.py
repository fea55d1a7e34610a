"""What measurements say about promises, without a server."""

from __future__ import annotations

import pytest

import gpupack
from gpupack.records.colocation import CoLocatedModel, CoLocation
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType
from gpupack.records.profile import LoadPoint
from gpupack.records.running.verification import GpuVerification
from gpupack.report.verification import format_verification
from gpupack.verifying.verdict import judge_gpu
from tests.factories import make_profiles, make_record

POINT = LoadPoint(batch_size=1, concurrency=1)
DURATION_S = 10.0


def reached(
    rate: float | None,
    *,
    ci: float | None = None,
    is_client_limited: bool = False,
) -> CoLocatedModel:
    """A reading of model ``m``; one that has a ``ci`` never settled."""
    return CoLocatedModel(
        model_name="m",
        load_point=POINT,
        throughput_infer_per_sec=rate,
        throughput_ci_ratio=ci,
        is_stable=ci is None and rate is not None,
        is_client_limited=is_client_limited,
    )


def judged(
    beside: CoLocatedModel,
    *,
    promised: float,
    alone: CoLocatedModel | None = None,
    min_retention: float | None = None,
    tolerance: float = 0.1,
) -> GpuVerification:
    """The verdict on a GPU with ``m`` and a neighbour that keeps all it promised."""
    records = [
        make_record("m", load_point=POINT, throughput_infer_per_sec=promised),
        make_record("n", load_point=POINT, throughput_infer_per_sec=1.0),
    ]
    placement = gpupack.place(make_profiles(*records))
    if min_retention is not None:
        placement = placement.model_copy(update={"min_retention": {"m": min_retention}})
    (gpu,) = placement.gpus
    gpu = gpu.model_copy(
        update={
            "assignments": tuple(
                one.model_copy(update={"predicted_infer_per_sec": None})
                for one in gpu.assignments
            )
        }
    )
    neighbor = reached(1.0).model_copy(update={"model_name": "n"})
    by_name = {"m": beside, "n": neighbor}
    measurements = [
        CoLocation.with_reason(
            "not read in this test",
            models=models,
            duration_s=DURATION_S,
            gpu_type=GpuType(name="H200", memory_bytes=2**37),
            environment=Environment(source="test"),
        )
        for models in (
            (alone or reached(promised),),
            (neighbor,),
            tuple(by_name[name] for name in gpu.models),
        )
    ]
    return judge_gpu(placement, gpu, measurements, digest="x", tolerance=tolerance)


def verdict(gpu: GpuVerification) -> str:
    (model,) = [one for one in gpu.models if one.model_name == "m"]
    assert (model.broken is None) == (not gpu.is_broken)
    # What is not known is never shown as kept.
    assert gpu.is_kept == (model.broken is None and model.not_judged is None)
    if model.broken is not None:
        assert model.not_judged is None
        return "broken"
    return "kept" if model.not_judged is None else "not judged"


# Of 100 promised, 90 must be reached.
@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (reached(91.0), "kept"),
        (reached(89.0), "broken"),
        (reached(95.0, ci=0.2), "not judged"),  # 76 to 114
        (reached(80.0, ci=0.2), "not judged"),  # 64 to 96
        (reached(70.0, ci=0.2), "broken"),  # 84 at most
        (reached(120.0, ci=0.2), "kept"),  # 96 at least
        (reached(None), "broken"),  # 2 requests in 10 s at most
        (reached(50.0, is_client_limited=True), "not judged"),
        (reached(91.0, is_client_limited=True), "kept"),
    ],
)
def test_a_promise_is_judged_as_far_as_the_measurement_reaches(
    beside: CoLocatedModel, expected: str
) -> None:
    assert verdict(judged(beside, promised=100.0)) == expected


def test_a_few_requests_say_little() -> None:
    # One each second is promised; 2 requests more or less in 10 s are 0.2 a second.
    few = reached(1.0).model_copy(update={"is_stable": False})
    assert verdict(judged(few, promised=1.0)) == "not judged"
    assert verdict(judged(few, promised=0.8)) == "kept"
    assert verdict(judged(few, promised=1.4)) == "broken"


# 0.9 is to be kept, so at least 0.8 of what it did alone; 1 infer/sec is promised.
@pytest.mark.parametrize(
    ("alone", "beside", "expected"),
    [
        (reached(100.0), reached(81.0), "kept"),
        (reached(100.0), reached(79.0), "broken"),
        (reached(100.0, is_client_limited=True), reached(81.0), "not judged"),
        # Alone it does more still, so it keeps even less.
        (reached(100.0, is_client_limited=True), reached(79.0), "broken"),
        (reached(100.0, ci=0.1), reached(85.0), "not judged"),  # of 90 to 110
        (reached(100.0, ci=0.1), reached(89.0), "kept"),
        (reached(100.0, ci=0.1), reached(71.0), "broken"),
    ],
)
def test_retention_is_judged_with_the_doubts_of_both_measurements(
    alone: CoLocatedModel, beside: CoLocatedModel, expected: str
) -> None:
    found = judged(beside, alone=alone, promised=1.0, min_retention=0.9)
    assert verdict(found) == expected


def test_the_table_says_what_could_not_be_judged_and_why() -> None:
    found = judged(reached(95.0, ci=0.2), promised=100.0)
    text = format_verification([found])
    assert "not known within ±20.0%" in text
    assert "known to ±20 %" in text
    assert "every promise was kept" not in text
