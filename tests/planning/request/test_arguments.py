"""Arguments, a request, or both: one request is what is asked."""

import copy
import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import gpupack
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.placement import Placement
from gpupack.records.gpu import Fleet, FleetEntry, GpuType
from gpupack.records.request import Request
from tests.factories import GPU, make_profiles
from tests.planning.solving.test_place_choices import record

PROFILES = make_profiles(
    record("a", "1x1", rate=100.0, busy=50.0, latency_p99_us=1e3),
    record("a", "4x1", rate=300.0, busy=90.0, latency_p99_us=5e3),
    record("b", "1x1", rate=50.0, busy=30.0, mib=600, latency_p99_us=1e3),
)


def decided(placement: Placement) -> dict[str, Any]:
    """What was decided, without how long that took."""
    return placement.model_dump(exclude={"seconds"})


@pytest.mark.parametrize(
    ("arguments", "request_data"),
    [
        ({}, {}),
        ({"objective": "max_throughput"}, {"objective": "max_throughput"}),
        (
            {"gpus": "T4", "carry_memory_over": True},
            {"gpus": {"T4": None}, "carry_memory_over": True},
        ),
        ({"gpus": 3}, {"gpus": 3}),
        (
            {"gpus": GpuType(name="test-gpu", memory_bytes=1500 * 2**20)},
            {"gpus": {"test-gpu": {"memory_mib": 1500}}},
        ),
        (
            {"gpus": 3, "prices": {"TEST-GPU": 2.0}, "objective": "min_cost"},
            {"gpus": {"test-gpu": {"count": 3, "price": 2.0}}, "objective": "min_cost"},
        ),
        (
            {"gpus": Fleet(entries=(FleetEntry(gpu_type=GPU, num_gpus=3),))},
            {"gpus": {"test-gpu": {"count": 3, "memory_mib": 1000}}},
        ),
        ({"headroom": "90%"}, {"headroom": 0.9}),
        ({"demand": {"a": 200}}, {"models": {"a": {"demand": 200}}}),
        ({"replicas": 2}, {"defaults": {"replicas": 2}}),
        (
            {"latency_limit_ms": 2.0, "optional": "b", "load_point": {"a": "1x1"}},
            {
                "defaults": {"latency_limit_ms": 2},
                "models": {"b": {"optional": True}, "a": {"load_point": "1x1"}},
            },
        ),
        (
            {"objective": "max_throughput", "gpus": 1, "weights": {"b": 9.0}},
            {"objective": "max_throughput", "gpus": 1, "models": {"b": {"weight": 9}}},
        ),
    ],
)
def test_arguments_are_short_for_a_request(
    arguments: dict[str, Any], request_data: dict[str, Any]
) -> None:
    request = Request.model_validate(request_data | {"workers": 1})

    short = gpupack.place(PROFILES, **arguments, workers=1)

    assert short.request == request
    assert decided(gpupack.place(PROFILES, request)) == decided(short)
    assert decided(gpupack.place(PROFILES, request=request)) == decided(short)


def test_a_request_is_kept_in_the_file_and_can_be_asked_again() -> None:
    placement = gpupack.place(PROFILES, demand={"a": 500.0}, workers=1)

    read = Placement.model_validate_json(placement.to_json())

    assert read == placement
    assert read.request is not None
    assert decided(gpupack.place(PROFILES, read.request)) == decided(placement)


def test_what_is_given_beside_a_request_wins_and_says_so() -> None:
    request = Request.model_validate(
        {
            "gpus": {"test-gpu": {"count": 3, "price": 2.0}},
            "headroom": 0.5,
            "defaults": {"latency_limit_ms": 9},
            "models": {
                "a": {"demand": 10, "latency_limit_ms": 8, "weight": 3},
                "b": {"demand": 10},
            },
        }
    )

    placement = gpupack.place(
        PROFILES,
        "max_throughput",
        request=request,
        headroom=0.9,
        gpus={"test-gpu": 4},
        demand={"a": 20.0},
        latency_limit_ms=7.0,
        weights={"a": 3.0},
        seed=3,
    )

    assert placement.request == Request.model_validate(
        {
            "objective": "max_throughput",
            "gpus": {"test-gpu": {"count": 4, "price": 2.0}},
            "headroom": 0.9,
            "defaults": {"latency_limit_ms": 7},
            "models": {"a": {"demand": 20, "weight": 3}, "b": {"demand": 10}},
            "seed": 3,
        }
    )
    told = [
        text.partition(" of the request")[0]
        for text in placement.warnings
        if " of the request" in text
    ]
    assert sorted(told) == [
        "defaults.latency_limit_ms",
        "gpus",
        "headroom",
        "models.a.demand",
        "models.a.latency_limit_ms",
    ]
    assert "0.5, gives way to what was given beside it: 0.9" in " ".join(
        placement.warnings
    )


def test_two_requests_are_one_too_many() -> None:
    with pytest.raises(InvalidInputError, match="two requests"):
        gpupack.place(PROFILES, Request(), request=Request(seed=1))


def test_a_model_that_no_profile_has_is_named_by_its_path() -> None:
    request = Request.model_validate({"models": {"resnet": {"demand": 1}}})

    with pytest.raises(UnknownNameError, match="models.resnet: there is no profile"):
        gpupack.place(PROFILES, request)
    with pytest.raises(UnknownNameError, match="demand names 'resnet', which has no"):
        gpupack.place(PROFILES, demand={"resnet": 1.0})


@pytest.mark.parametrize(
    "call", [gpupack.place, gpupack.frontier], ids=["place", "frontier"]
)
def test_help_shows_every_wish_and_a_misspelled_one_is_an_error(call: Any) -> None:
    named = inspect.signature(call).parameters

    assert {"demand", "prices", "weights", "time_limit_s", "workers"} <= set(named)
    assert named["time_limit_s"].default == 10.0
    with pytest.raises(TypeError, match="'demnad'"):
        call(PROFILES, demnad={"a": 1.0})


def test_budgets_hold_for_all_gpu_types_together() -> None:
    # A GPU holds one b (600 of 1000 MiB), which serves 50 infer/sec.
    three: dict[str, Any] = {"objective": "max_throughput", "demand": {"b": 200.0}}
    profiles = PROFILES.select("b")

    assert gpupack.place(profiles, max_gpus=3, **three).objective_value == 150
    dear = {"prices": {"test-gpu": 1.0}, "max_price_per_hour": 2.9}
    assert gpupack.place(profiles, **dear, **three).objective_value == 100
    two_copies = {"replicas": 3, "objective": "max_throughput"}
    with pytest.raises(gpupack.InfeasibleError, match="budget of 2 GPUs"):
        gpupack.place(profiles, max_gpus=2, **two_copies)
    # Also where nothing else is to be chosen.
    one = gpupack.place(profiles, "max_throughput", max_gpus=1)
    assert one.objective_value == 50
    with pytest.raises(InvalidInputError, match="max_gpus is what max_throughput may"):
        gpupack.place(profiles, max_gpus=2)
    with pytest.raises(InvalidInputError, match="both given; give one"):
        gpupack.place(profiles, max_gpus=2, **dear, **three)
    with pytest.raises(InvalidInputError, match="give budgets, and by="):
        gpupack.frontier(profiles, max_gpus=2)


def test_a_frontier_can_be_fair() -> None:
    # On each GPU, 100 % give 100 infer/sec of a or of b; 300 of a and 100 of b are
    # wanted. Fairly shared, one GPU serves a quarter of each, two half, and so on.
    profiles = make_profiles(record("a", busy=100.0), record("b", busy=100.0))
    wishes: dict[str, Any] = {"demand": {"a": 300.0, "b": 100.0}, "workers": 1}

    found = gpupack.frontier(
        profiles, **wishes, fairness="max_min", budgets=[2, 3, 4], find_headroom=False
    )

    served = [one.served_infer_per_sec for one in found.placements]
    for step, share in zip(served, (0.5, 0.75, 1.0), strict=True):
        assert step["a"] / 300 == pytest.approx(share, rel=1e-3)
        assert step["b"] / 100 == pytest.approx(share, rel=1e-3)
    rates = [one.throughput_infer_per_sec for one in found.points]
    assert rates == pytest.approx([200, 300, 400], rel=1e-3)
    assert all(one.bound_infer_per_sec == 400 for one in found.points)
    for placement in found.placements:
        assert placement.request is not None
        again = gpupack.place(profiles, placement.request)
        assert again.objective_value == pytest.approx(placement.objective_value)


def test_no_more_replicas_than_are_allowed_serve_a_demand() -> None:
    # One b serves 50 infer/sec: 200 take four of them.
    profiles = PROFILES.select("b")

    assert gpupack.place(profiles, demand={"b": 200.0}).num_gpus == 4
    with pytest.raises(gpupack.InfeasibleError):
        gpupack.place(profiles, demand={"b": 200.0}, max_replicas=3)
    most = gpupack.place(
        profiles, "max_throughput", gpus=9, demand={"b": 200.0}, max_replicas={"b": 3}
    )
    assert most.objective_value == pytest.approx(150)
    with pytest.raises(InvalidInputError, match="models.b.max_replicas is 2, but 3"):
        gpupack.place(profiles, demand={"b": 1.0}, replicas=3, max_replicas=2)


PLACEMENTS = {
    "plain": lambda: gpupack.place(PROFILES, load_point="1x1"),
    "choices": lambda: gpupack.place(PROFILES, demand={"a": 500.0}, min_retention=0.5),
}


@pytest.mark.parametrize("name", sorted(PLACEMENTS))
def test_a_placement_can_be_pickled_copied_and_hashed(name: str) -> None:
    placement = PLACEMENTS[name]()

    for again in (
        pickle.loads(pickle.dumps(placement)),
        copy.deepcopy(placement),
        copy.copy(placement),
    ):
        assert again == placement
        assert hash(again) == hash(placement)
    assert again.explain().changes == placement.explain().changes
    assert len({placement, again}) == 1


def test_a_placement_goes_from_process_to_process() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(gpupack.place, PROFILES, demand={"a": 500.0}, workers=1)
        placement = there.result()
        told = pool.submit(gpupack.explain, placement).result()

    here = gpupack.place(PROFILES, demand={"a": 500.0}, workers=1)
    assert decided(placement) == decided(here)
    assert told == here.explain()


def test_growth_below_one_is_asked_about() -> None:
    placed = gpupack.place("medical", growth=0.2, time_limit_s=1)
    grown = gpupack.place("medical", growth=1.2, time_limit_s=1)

    assert any(
        "if 20% more is meant, give growth=1.2" in one for one in placed.warnings
    )
    assert not any("growth" in one for one in grown.warnings)
