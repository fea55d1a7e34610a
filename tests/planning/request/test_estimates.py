"""GPU types that nobody measured: estimates that say so, and promise nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

import gpupack
from gpupack.catalogue import FIGURES_BY_NAME, MEMORY_MIB_BY_NAME
from gpupack.records.gpu import GpuType, find_gpu_type
from gpupack.records.profile import RecordOrigin
from gpupack.report.page.html import render_report
from tests.factories import MIB, make_baseline, make_record

T4, L40S = find_gpu_type("T4"), find_gpu_type("L40S")
ESTIMATED: dict[str, Any] = {"estimate_unmeasured": True, "time_limit_s": 1.0}


def measured_on(*gpu_types: GpuType) -> gpupack.ProfileSet:
    return gpupack.ProfileSet(
        records=tuple(
            make_record(
                name,
                gpu_type=gpu_type,
                gpu_utilization_percent=60.0,
                memory_utilization_percent=30.0,
                gpu_memory_used_bytes=2000 * MIB,
                latency_p99_us=12_000.0,
            )
            for name in ("a", "b")
            for gpu_type in gpu_types
        ),
        baselines=tuple(make_baseline(400, gpu_type=one) for one in gpu_types),
    )


def scaled(placement: gpupack.Placement) -> list[gpupack.ProfileRecord]:
    return [one for one in placement.profiles if one.origin is RecordOrigin.SCALED]


def test_every_card_of_the_catalogue_has_figures() -> None:
    assert set(FIGURES_BY_NAME) == set(MEMORY_MIB_BY_NAME)


def test_the_time_on_the_gpu_is_scaled_and_the_rest_is_not() -> None:
    placed = gpupack.place(measured_on(T4), gpus={"L40S": None}, **ESTIMATED)

    one, _ = scaled(placed)
    # The data sheets: 864 ÷ 320 GB/s, 362 ÷ 65 and 91.6 ÷ 8.1 TFLOPS: 2.7 is the least.
    stretch = 0.4 + 0.6 / 2.7
    assert one.throughput_infer_per_sec == pytest.approx(100 / stretch)
    assert one.gpu_utilization_percent == pytest.approx(60 / 2.7 / stretch)
    assert one.memory_utilization_percent == pytest.approx(30 / 2.7 / stretch)
    assert one.gpu_memory_used_bytes == 2000 * MIB
    assert (one.gpu_type.name, one.scaled_from) == ("L40S", "T4")
    assert one.latency_p99_us is None
    assert "not measured" in one.missing["latency_p99_us"]
    # Per inference the GPU works as long as 2.7 times the speed makes it.
    assert one.gpu_utilization_percent is not None
    assert one.throughput_infer_per_sec is not None
    per_inference = one.gpu_utilization_percent / one.throughput_infer_per_sec
    assert per_inference == pytest.approx(60 / 100 / 2.7)


def test_a_slower_card_is_never_estimated_to_be_busy_beyond_all_of_its_time() -> None:
    h200 = find_gpu_type("H200")

    placed = gpupack.place(measured_on(h200), gpus={"T4": None}, **ESTIMATED)

    for one in scaled(placed):
        assert one.gpu_utilization_percent is not None
        assert one.gpu_utilization_percent <= 100
        assert one.throughput_infer_per_sec is not None
        assert one.throughput_infer_per_sec < 100


def test_what_was_measured_is_planned_with_as_measured() -> None:
    mixed = gpupack.place(
        measured_on(T4), gpus={"T4": None, "L40S": None}, demand={"a": 50.0, "b": 50.0},
        **ESTIMATED,
    )  # fmt: skip
    both = gpupack.place(measured_on(T4, L40S), gpus={"L40S": None}, **ESTIMATED)

    of_t4 = [one for one in mixed.profiles if one.gpu_type.name == "T4"]
    assert {one.origin for one in of_t4} == {RecordOrigin.MEASURED}
    assert scaled(both) == []
    assert not any("estimate" in text for text in both.warnings)


def test_an_estimate_says_so_wherever_it_is_told(tmp_path: Any) -> None:
    placed = gpupack.place(measured_on(T4), gpus={"L40S": None}, **ESTIMATED)

    first = placed.warnings[0]
    assert first.startswith("nothing was measured on L40S")
    assert "scaled from T4" in first
    for told in (str(placed), placed.to_markdown(), placed.to_html()):
        assert "L40S (estimated)" in told.replace("\\", "")
        assert "nothing was measured on L40S" in told
    assert "scaled from T4" in render_report([("plan", placed)])
    found = json.loads(placed.to_json())
    assert {one["origin"] for one in found["profiles"] if one["gpu_type"]["name"] ==
            "L40S"} == {"scaled"}  # fmt: skip
    gpupack.write_placement(placed, tmp_path / "plan.json")
    assert gpupack.read_placement(tmp_path / "plan.json") == placed
    frontier = gpupack.frontier(
        measured_on(T4), gpus={"T4": 1, "L40S": 1}, find_headroom=False, **ESTIMATED
    )
    assert any("L40S (estimated)" in (one.label or "") for one in frontier.steps)


@pytest.mark.parametrize(
    ("promise", "name"),
    [
        ({"demand": {"a": 9.0}, "demand_met": "predicted"}, "demand_met"),
        ({"min_retention": 0.9}, "min_retention"),
        ({"latency_limit_ms": 20.0}, "latency_limit_ms"),
    ],
)
def test_nothing_is_promised_by_an_estimate(promise: dict[str, Any], name: str) -> None:
    with pytest.raises(gpupack.InvalidInputError, match=rf"{name}.*L40S"):
        gpupack.place(measured_on(T4), gpus={"L40S": None}, **promise, **ESTIMATED)


def test_an_estimate_is_not_verified() -> None:
    placed = gpupack.place(measured_on(T4), gpus={"L40S": None}, **ESTIMATED)

    with pytest.raises(gpupack.InvalidInputError, match="measured on '?L40S"):
        gpupack.verify(placed, model_repository="nowhere")


def test_without_leave_a_type_without_profiles_is_refused_with_the_way_out() -> None:
    with pytest.raises(gpupack.InvalidInputError, match="estimate_unmeasured=True"):
        gpupack.place(measured_on(T4), gpus={"L40S": None})
    with pytest.raises(gpupack.InvalidInputError, match=r"figures of '?own-card"):
        gpupack.place(
            measured_on(T4),
            gpus={GpuType(name="own-card", memory_bytes=2**34): None},
            **ESTIMATED,
        )


def test_what_to_buy_is_measured_and_estimates_stand_beside_it() -> None:
    profiles, demand = measured_on(T4), {"a": 200.0, "b": 200.0}
    prices = {"T4": 0.5, "L40S": 0.6}

    found = gpupack.recommend(
        profiles, gpus={"T4": None, "L40S": None}, prices=prices, demand=demand,
        workers=1, **ESTIMATED,
    )  # fmt: skip

    assert set(found.buy.num_gpus_by_type) == {"T4"}
    assert found.estimated is not None
    assert "By estimates " in found.to_text()
    assert "Measure before you buy" in found.to_text()
    again = gpupack.place(profiles, request=found.estimated.request)
    assert again.objective_value == pytest.approx(found.estimated.price_per_hour)
    with pytest.raises(gpupack.InvalidInputError, match="no model was profiled on"):
        gpupack.recommend(profiles, gpus={"T4": None, "L40S": None}, demand=demand)
    with pytest.raises(gpupack.InvalidInputError, match="no matter of estimates"):
        gpupack.recommend(profiles, gpus={"L40S": None}, demand=demand, **ESTIMATED)
