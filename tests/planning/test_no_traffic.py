"""A demand of 0: the model is loaded and has no traffic to meet, which is known."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpupack
from gpupack.report.page.demand import demand_verdict
from tests.factories import MIB, make_profiles, make_record

# Two of these fit into the memory of a GPU, and one of them takes all its time.
PROFILES = make_profiles(
    *(
        make_record(
            name, gpu_memory_used_bytes=400 * MIB, gpu_utilization_percent=100.0
        )
        for name in "ab"
    )
)
QUICK = {"time_limit_s": 1.0, "workers": 1}


def test_what_is_recommended_tells_no_traffic_from_an_unknown_one() -> None:
    unknown = gpupack.recommend(PROFILES, **QUICK)
    idle = gpupack.recommend(PROFILES, demand=0, **QUICK)
    half = gpupack.recommend(PROFILES, demand={"a": 0}, **QUICK)
    busy = gpupack.recommend(PROFILES, demand={"a": 0, "b": 50}, **QUICK)

    # Of two models that may be busy at once each takes a GPU; memory holds both.
    assert [one.buy.num_gpus for one in (unknown, idle, half, busy)] == [2, 1, 1, 1]
    assert "busy at once" in unknown.lines[1]
    assert (
        idle.lines[1] == "Every model is loaded; none has traffic to meet (demand 0)."
    )
    assert half.lines[1].startswith("'b' may be busy all the time; the others are load")
    assert busy.lines[1].startswith("Every model keeps its demand as predicted")
    by_name = {one.model_name: one.demand_infer_per_sec for one in half.models}
    assert by_name == {"a": 0.0, "b": None}
    again = gpupack.Recommendation.model_validate_json(half.to_json())
    assert {one.model_name: one.demand_infer_per_sec for one in again.models} == by_name
    for found, is_told in ((unknown, False), (idle, True), (half, True), (busy, True)):
        told = [one for one in found.assumptions if "a demand of 0" in one.text]
        assert bool(told) is is_told
        if is_told:
            assert told[0].flag == "--demand a=20"
    assert not any("reserve" in one.text for one in idle.assumptions)
    assert any("a reserve of" in one.text for one in busy.assumptions)


def test_tables_and_reports_say_that_a_model_is_only_loaded() -> None:
    idle = gpupack.place(PROFILES, demand=0, **QUICK)
    unknown = gpupack.place(PROFILES, **QUICK)

    assert "a (1x1, loaded)" in str(idle)
    assert "takes no traffic (as for a demand of 0)" in str(idle)
    assert "loaded" not in str(unknown)
    assert str(demand_verdict(idle)) == (
        "demand met: yes, no traffic is asked for (demand 0)"
    )
    assert demand_verdict(unknown) is None
    assert "no traffic is asked for" in idle.to_html()
    assert "loaded" in idle.to_markdown()


def test_a_frontier_without_traffic_says_so() -> None:
    steps = gpupack.frontier(PROFILES, demand=0, **QUICK)

    assert steps.wanted_infer_per_sec == 0
    assert "every model has a demand of 0" in str(steps)


def test_a_request_file_keeps_0_apart_from_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("models: {a: {demand: 0}, b: {}}\n")

    asked = gpupack.read_request(path)

    assert asked.of_model("a").demand == 0
    assert asked.of_model("b").demand is None


def test_wishes_that_need_traffic_ask_for_some() -> None:
    limits = {"latency_limit_ms": 5, "latency": "predicted"}

    with pytest.raises(gpupack.InvalidInputError, match="demand above 0 for a, b"):
        gpupack.place(PROFILES, demand=0, **limits, **QUICK)
    with pytest.raises(gpupack.InvalidInputError, match="none is above 0"):
        gpupack.place(
            PROFILES, "max_throughput", demand=0, fairness="max_min", gpus=1, **QUICK
        )
