"""What one more GPU would buy of latency."""

from __future__ import annotations

from typing import Any

import pytest

import gpupack
from gpupack import packing
from gpupack.planning.contention import SIMULATED_REQUESTS
from gpupack.planning.solving.expected_latency import (
    FEWEST_SIMULATED,
    requests_for_each,
)
from gpupack.report.summary import facts_of
from tests.factories import make_profiles, make_timed_record


def profiles(*names: str, **values: Any) -> gpupack.ProfileSet:
    return make_profiles(*(make_timed_record(name, **values) for name in names))


def placed(names: str, rate: float, **asked: Any) -> gpupack.Placement:
    return gpupack.place(
        profiles(*names),
        demand=dict.fromkeys(names, rate),
        latency_limit_ms=200,
        workers=1,
        **asked,
    )


def latency_of(placement: gpupack.Placement, name: str) -> float:
    (found,) = {
        one.predicted_latency_us
        for gpu in placement.gpus
        for one in gpu.assignments
        if one.model_name == name
    }
    assert found is not None
    return found


def test_models_that_share_a_gpu_are_divided_as_they_would_be_on_two() -> None:
    one = placed("ab", 30.0, max_replicas=1)
    assert one.num_gpus == 1
    more = one.one_more_gpu
    assert more is not None
    # Apart each has what it has alone on a GPU.
    alone = placed("a", 30.0, max_replicas=1)
    assert more.latency_us == pytest.approx(latency_of(one, more.model_name))
    assert more.with_it_us == pytest.approx(latency_of(alone, "a"))
    assert len(more.moved) == 1
    assert more.copied is None
    assert more.with_it_us < more.latency_us
    assert more.p50_with_it_us < (more.latency_p50_us or 0.0)


def test_a_model_on_a_gpu_of_its_own_shares_its_traffic_with_a_copy() -> None:
    one = placed("a", 70.0)
    assert one.num_gpus == 1
    more = one.one_more_gpu
    assert more is not None
    assert (more.moved, more.copied) == ((), "a")
    assert more.with_it_us == pytest.approx(latency_of(placed("a", 35.0), "a"))


def test_no_more_copies_are_proposed_than_are_allowed() -> None:
    assert placed("a", 70.0, max_replicas=1).one_more_gpu is None


def test_without_limits_or_traffic_nothing_is_said() -> None:
    assert gpupack.place(profiles("a"), demand={"a": 30.0}).one_more_gpu is None
    assert gpupack.place(profiles("a"), latency_limit_ms=200).one_more_gpu is None


def test_many_instances_are_moved_one_after_the_other() -> None:
    one = placed("abcdefgh", 10.0, max_replicas=1)
    assert one.num_gpus == 1
    more = one.one_more_gpu
    assert more is not None
    assert 1 <= len(more.moved) <= 7
    assert more.with_it_us < (more.latency_us or 0.0)


def test_only_what_is_told_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    # Five models can be divided over two GPUs in 30 ways, of two simulations each.
    calls = []
    simulate = packing.simulate_round_robin

    def counted(*given: Any, **more: Any) -> Any:
        calls.append(given)
        return simulate(*given, **more)

    monkeypatch.setattr(packing, "simulate_round_robin", counted)

    one = placed("abcde", 12.0, max_replicas=1)

    assert one.num_gpus == 1
    assert one.one_more_gpu is not None
    assert len(calls) == 3  # the GPU as it is, and the two it would be


def test_many_gpus_share_out_what_is_simulated() -> None:
    assert requests_for_each(1) == requests_for_each(20) == SIMULATED_REQUESTS
    assert requests_for_each(40) == SIMULATED_REQUESTS // 2
    assert requests_for_each(10_000) == FEWEST_SIMULATED


def test_it_is_told_in_the_table_the_report_and_the_explanation() -> None:
    one = placed("ab", 30.0, max_replicas=1)
    more = one.one_more_gpu
    assert more is not None
    words = f"to {more.with_it_us / 1000:.3g} ms (p50 {more.p50_with_it_us / 1000:.3g})"
    assert words in str(one)
    assert words in str(one.explain())
    (fact,) = [fact for fact in facts_of(one) if fact.title == "One more GPU"]
    assert words in fact.detail
    assert gpupack.Placement.model_validate_json(one.to_json()) == one
