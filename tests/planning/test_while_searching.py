"""What searches tell while they go on: placements, changes that help, steps."""

from __future__ import annotations

import pytest

import gpupack
from gpupack import Placement, PlacementStatus, Request
from gpupack.records.explanation import SavingChange
from gpupack.records.frontier import FrontierPoint
from gpupack.records.gpu import GpuType
from tests.factories import MIB, make_baseline, make_load_point, make_profiles

SMALL = GpuType(name="small-gpu", memory_bytes=700 * MIB)


def profiles_of_two_types() -> gpupack.ProfileSet:
    """Twelve models at four load points on two GPU types: enough to be searched."""
    records = [
        make_load_point(
            f"model_{index:02}",
            f"{batch}x1",
            rate=40.0 * batch * speed + 7 * index,
            busy=30.0 + 5 * batch + index % 5,
            mib=100 + 17 * index + 20 * batch,
            gpu_type=gpu_type,
        )
        for index in range(12)
        for batch in (1, 2, 4, 8)
        for gpu_type, speed in ((SMALL, 1), (gpupack.GpuType(**TEST), 2))
    ]
    found = make_profiles(*records)
    return found.model_copy(
        update={"baselines": (*found.baselines, make_baseline(0, SMALL))}
    )


TEST = {"name": "test-gpu", "memory_bytes": 1000 * MIB}


def test_placements_told_while_searching_are_checked_and_get_better() -> None:
    told: list[Placement] = []
    profiles = profiles_of_two_types()

    last = gpupack.place(
        profiles,
        "min_cost",
        gpus={"small-gpu": None, "test-gpu": None},
        prices={"small-gpu": 1.0, "test-gpu": 1.7},
        demand=dict.fromkeys(profiles.model_names, 400.0),
        workers=1,
        time_limit_s=3,
        progress=told.append,
    )

    assert told, "a first placement is there before the search ends"
    values = [one.objective_value for one in [*told, last]]
    bounds = [one.bound for one in [*told, last]]
    assert values == sorted(values, reverse=True)
    assert bounds == sorted(bounds)
    for one in told:
        placed = {name for gpu in one.gpus for name in gpu.models}
        assert placed == set(profiles.model_names)
        assert one.request == last.request
        for name, served in one.served_infer_per_sec.items():
            assert served == pytest.approx(400.0), name
    assert last.status is PlacementStatus.OPTIMAL or last.gap > 0


def test_one_way_to_place_models_tells_its_first_packing_too() -> None:
    told: list[Placement] = []

    last = gpupack.place(
        gpupack.load_example("medical"), headroom=0.8, progress=told.append
    )

    assert told
    assert told[0].num_gpus >= last.num_gpus
    assert last.bound >= told[0].bound


def test_what_is_raised_while_searching_ends_the_search() -> None:
    class EnoughError(Exception):
        pass

    def stop(placement: Placement) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        gpupack.place(gpupack.load_example("medical"), progress=stop)


@pytest.mark.parametrize("objective", ["min_gpus", "max_throughput"])
def test_each_change_that_helps_can_be_asked_as_a_request(objective: str) -> None:
    profiles = gpupack.load_example("medical")
    placement = gpupack.place(profiles, objective, headroom=0.8, workers=1)
    told: list[SavingChange] = []

    explanation = gpupack.explain(placement, progress=told.append)

    assert tuple(told) == explanation.changes
    assert told
    for change in told:
        assert change.request is not None
        again = gpupack.place(profiles, request=change.request)
        assert again.num_gpus == change.value, change.change


def test_a_promise_and_one_more_gpu_become_requests() -> None:
    records = [make_load_point(f"m{n}", rate=100.0, busy=60.0) for n in range(4)]
    profiles = make_profiles(*records)
    kept = gpupack.place(profiles, min_retention=0.95)
    (change, *_) = (
        one
        for one in gpupack.explain(kept).changes
        if one.kind is gpupack.ChangeKind.MIN_RETENTION
    )
    assert change.request is not None
    assert gpupack.place(profiles, request=change.request).num_gpus == change.value

    few = gpupack.place(
        profiles,
        "max_throughput",
        gpus={"test-gpu": 2},
        demand={one.model_name: 90.0 for one in records},
    )
    (more, *_) = (
        one
        for one in gpupack.explain(few).changes
        if one.kind is gpupack.ChangeKind.NUM_GPUS
    )
    assert more.request is not None
    again = gpupack.place(profiles, request=more.request)
    assert again.objective_value == pytest.approx(more.value)


def test_a_frontier_tells_each_step_with_a_request_that_asks_for_it() -> None:
    profiles = gpupack.load_example("medical")
    told: list[tuple[FrontierPoint, Placement]] = []

    frontier = gpupack.frontier(
        profiles, found=lambda point, placement: told.append((point, placement))
    )

    assert len(told) >= len(frontier.steps)
    for point, placement in told:
        assert placement.request is not None
        again = gpupack.place(profiles, request=placement.request)
        assert again.objective_value == pytest.approx(placement.objective_value)
        assert point.num_gpus == placement.num_gpus


def test_a_model_that_is_left_out_is_as_if_it_had_no_profile() -> None:
    profiles = gpupack.load_example("medical")
    name = profiles.model_names[0]
    records = tuple(one for one in profiles.records if one.model_name != name)
    without = profiles.model_copy(update={"records": records})

    found = gpupack.place(profiles, without=name, headroom=0.8, workers=1)
    expected = gpupack.place(without, headroom=0.8, workers=1)

    assert found.gpus == expected.gpus
    assert found.request == Request.model_validate(
        {"models": {name: {"left_out": True}}, "headroom": 0.8, "workers": 1}
    )
    assert found.explain().changes, "it is known of a placement without its profiles"


def test_not_every_model_can_be_left_out() -> None:
    profiles = make_profiles(make_load_point("one"), make_load_point("other"))

    with pytest.raises(gpupack.InvalidInputError, match="leaves out every model"):
        gpupack.place(profiles, without=["one", "other"])
    with pytest.raises(gpupack.UnknownNameError, match="third"):
        gpupack.place(profiles, without="third")
