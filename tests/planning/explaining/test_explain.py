"""explain(): what binds, what proves it, which single change would help."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import gpupack
from gpupack.errors import InvalidInputError
from gpupack.packing.capacity.capacity_ladder import plan_capacity
from gpupack.packing.capacity.model.plan import CapacityPlan, PlanStatus
from gpupack.placement import Placement
from gpupack.planning.explaining import what_if
from gpupack.profile_set import ProfileSet
from gpupack.records.explanation import ChangeKind
from gpupack.records.gpu import Resource
from tests.factories import (
    GPU,
    make_baseline,
    make_load_point,
    make_profiles,
    make_record,
)
from tests.planning.solving.test_place_choices import BIG, on_both, record

MEDICAL = gpupack.load_example("medical")


def test_case_study_1_is_proved_by_the_sum_of_memory() -> None:
    explanation = gpupack.place(MEDICAL).explain()

    assert explanation.binding_resource is Resource.MEMORY
    # Published: 53,016 MiB in all; three GPUs offer 3 × (16384 - 309) MiB.
    assert "53,016 MiB" in explanation.proof
    assert f"{3 * (16384 - 309):,}" in explanation.proof
    assert len(explanation.binding) == 4


def test_case_study_2_is_proved_by_the_model_that_shares_with_nobody() -> None:
    explanation = gpupack.place(MEDICAL, "max_throughput").explain()

    # 491 - 79 = 412 % are left for the others, so five more GPUs.
    assert explanation.proof == (
        "'segmentation_ct_pancreas' shares a GPU with no other model and takes 1 GPU; "
        "the others need 412 % of gpu_utilization, of which a GPU offers 100 %: 5 more."
    )
    assert explanation.binding_resource is Resource.GPU_UTILIZATION


@pytest.mark.parametrize(("objective", "headroom"), [("max_throughput", 1.0)])
def test_the_headroom_named_saves_a_gpu_and_a_little_less_does_not(
    objective: str, headroom: float
) -> None:
    placement = gpupack.place(MEDICAL, objective, headroom=headroom)
    (change,) = [
        one
        for one in placement.explain().changes
        if one.kind is ChangeKind.HEADROOM and "gpu_utilization" in one.change
    ]

    share = float(change.change.rsplit(" ", 1)[1])

    def num_gpus(share: float) -> int:
        shares = {"memory": 1.0, "memory_utilization": 1.0, "gpu_utilization": share}
        return gpupack.place(MEDICAL, objective, headroom=shares).num_gpus

    assert num_gpus(share) == placement.num_gpus - 1
    assert num_gpus(round(share - 0.01, 2)) == placement.num_gpus


def test_another_load_point_that_saves_a_gpu_is_named() -> None:
    profiles = make_profiles(
        record("a", "1x1", mib=300), record("a", "8x1", mib=600), record("b", mib=600)
    )
    placement = gpupack.place(profiles, load_point={"a": "8x1"})

    changes = placement.explain().changes

    assert placement.num_gpus == 2
    assert [one.change for one in changes if one.kind is ChangeKind.LOAD_POINT] == [
        "'a' at 1x1 on test-gpu"
    ]


def test_load_points_that_the_question_forbids_are_not_offered() -> None:
    profiles = make_profiles(
        record("a", "1x1", rate=100.0, latency_p99_us=1000.0),
        record("a", "4x1", rate=200.0, latency_p99_us=1500.0, is_stable=False),
        record("a", "8x1", rate=400.0, latency_p99_us=9000.0),
    )

    def offered(**wishes: Any) -> list[str]:
        placement = gpupack.place(profiles, demand={"a": 1000.0}, **wishes)
        return [
            one.change.split()[2]
            for one in placement.explain().changes
            if one.kind is ChangeKind.LOAD_POINT
        ]

    # 8x1 is too slow and 4x1 never settled, though both would take fewer GPUs.
    assert offered(latency_limit_ms=2.0) == []
    assert offered(load_point="1x1") == ["8x1"]
    assert offered(load_point="1x1", allow_unstable=True) == ["4x1", "8x1"]


def test_a_gpu_type_that_saves_gpus_is_named() -> None:
    changes = gpupack.place(MEDICAL).explain().changes

    # 53,016 MiB take three cards of 23 to 24 GiB instead of four of 16.
    assert ("L4 GPUs instead", 3) in [(one.change, one.value) for one in changes]


@pytest.mark.parametrize(
    "wishes",
    [
        {"demand": {"a": 1000.0}, "latency_limit_ms": {"a": 5.0}},
        {"demand": {"a": 1000.0}, "load_point": {"a": "1x1"}},
        {"objective": "max_throughput"},
    ],
    ids=["latency", "pinned", "max_throughput"],
)
def test_another_gpu_type_is_asked_the_same_question(wishes: dict[str, Any]) -> None:
    # On the big card 8x1 would take fewest, but it is slow; and 1x1 serves least.
    profiles = on_both(
        record("a", rate=100.0, latency_p99_us=2000.0),
        record("b", busy=60.0, mib=600),
        record("a", rate=300.0, latency_p99_us=1000.0, gpu_type=BIG),
        record("a", "8x1", rate=1200.0, busy=95.0, latency_p99_us=9e3, gpu_type=BIG),
        record("b", busy=40.0, mib=600, gpu_type=BIG),
    )
    changes = gpupack.place(profiles, gpus="test-gpu", **wishes).explain().changes

    asked = gpupack.place(profiles, gpus="big-gpu", **wishes).num_gpus
    now = gpupack.place(profiles, gpus="test-gpu", **wishes).num_gpus
    found = [one.value for one in changes if one.kind is ChangeKind.GPU_TYPE]
    assert found == ([asked] if asked < now else [])


def from_file(placement: Placement, folder: Path) -> Placement:
    gpupack.write_placement(placement, folder / "placement.json")
    return gpupack.read_placement(folder / "placement.json")


SLOW = make_profiles(
    record("a", "1x1", rate=100.0, latency_p99_us=1000.0),
    record("a", "8x1", rate=400.0, latency_p99_us=9000.0),
)
BUSY = make_profiles(record("a", busy=100.0), record("b", mib=600))


@pytest.mark.parametrize(
    ("profiles", "wishes"),
    [
        (MEDICAL, {"objective": "max_throughput"}),
        (MEDICAL, {"min_retention": 0.9}),
        (SLOW, {"demand": {"a": 1000.0}, "latency_limit_ms": 2.0}),
        *(
            (
                BUSY,
                {
                    "objective": "max_throughput",
                    "gpus": 2,
                    "demand": {"a": 900.0},
                    "optional": ["b"],
                    "fairness": fairness,
                },
            )
            for fairness in ("sum", "max_min")
        ),
    ],
    ids=["plain", "retention", "latency", "sum", "max_min"],
)
def test_a_placement_from_a_file_explains_itself_as_it_did_before(
    tmp_path: Path, profiles: ProfileSet, wishes: dict[str, Any]
) -> None:
    placement = gpupack.place(profiles, workers=1, **wishes)
    read = from_file(placement, tmp_path)

    told = placement.explain()

    assert read.explain() == told
    assert gpupack.explain(read, profiles) == told
    assert told.changes != ()


def test_what_explaining_lacks_is_said() -> None:
    placement = gpupack.place(MEDICAL)
    bare = placement.model_copy(update={"profiles": ()})
    old = placement.model_copy(update={"request": None})

    with pytest.raises(InvalidInputError, match="without the profiles"):
        bare.explain()
    with pytest.raises(InvalidInputError, match="no profile"):
        gpupack.explain(placement, MEDICAL.select("classification_chest"))
    with pytest.raises(InvalidInputError, match="give it: gpupack.explain"):
        old.explain()
    request = placement.request
    assert gpupack.explain(bare, MEDICAL) == placement.explain()
    assert gpupack.explain(old, request=request) == placement.explain()


def test_a_step_of_a_frontier_explains_itself() -> None:
    # One GPU gives a its 100 infer/sec or b its 100, a second one gives all 200.
    profiles = make_profiles(record("a", busy=100.0), record("b", busy=100.0))
    (first, _) = gpupack.frontier(profiles, find_headroom=False).placements

    changes = first.explain().changes

    assert first.request is not None
    assert first.request.max_gpus == first.num_gpus == 1
    assert gpupack.place(profiles, first.request).objective_value == 100
    assert {one.kind for one in changes} <= set(ChangeKind)


def test_min_retention_is_what_takes_the_gpus_and_what_would_save_one() -> None:
    placement = gpupack.place(MEDICAL, min_retention=0.9)

    explanation = placement.explain()

    # Memory alone takes the four GPUs of case study 1.
    assert explanation.binding_resource is None
    assert explanation.proof.startswith(f"min_retention takes {placement.num_gpus} GPU")
    assert explanation.proof.endswith("without it 4 would do.")
    (change,) = explanation.changes
    assert change.kind is ChangeKind.MIN_RETENTION
    share = float(change.change.rsplit(" ", 1)[1])
    assert gpupack.place(MEDICAL, min_retention=share).num_gpus == change.value
    a_little_more = gpupack.place(MEDICAL, min_retention=share + 0.01)
    assert a_little_more.num_gpus == placement.num_gpus


def test_headroom_is_no_advice_where_min_retention_takes_the_gpus() -> None:
    asked = {"objective": "max_throughput", "min_retention": 0.95}
    placement = gpupack.place(MEDICAL, headroom=0.95, **asked)

    kinds = {one.kind for one in placement.explain().changes}

    assert gpupack.place(MEDICAL, headroom=1.0, **asked).num_gpus == placement.num_gpus
    assert ChangeKind.HEADROOM not in kinds


def test_min_retention_that_lets_less_be_served_is_named() -> None:
    # One GPU: a and b share it, 40 + 60 %, with 100 + 200 infer/sec. Kept in full is
    # nothing beside a neighbor, so that b is left out, and a alone gives 200.
    profiles = make_profiles(
        *(record(name, "1x1", rate=100.0, busy=40.0) for name in "ab"),
        *(record(name, "8x1", rate=200.0, busy=60.0) for name in "ab"),
    )
    asked: dict[str, Any] = {"gpus": 1, "optional": ["b"]}
    placement = gpupack.place(profiles, "max_throughput", min_retention=1.0, **asked)

    explanation = placement.explain()

    assert placement.objective_value == 200
    assert explanation.is_bound_by_retention
    assert explanation.proof.startswith("min_retention lets no more than 200 infer/sec")
    assert "without it 300" in explanation.proof
    assert "min_retention, overall" in str(explanation)
    found = {one.kind: one for one in explanation.changes}
    lowered = found[ChangeKind.MIN_RETENTION]
    assert lowered.saved > 0
    share = float(lowered.change.rsplit(" ", 1)[1])

    def served(share: float) -> float:
        return gpupack.place(
            profiles, "max_throughput", min_retention=share, **asked
        ).objective_value

    assert served(share) == lowered.value
    assert served(round(share + 0.01, 2)) == 200
    # 100 % of a second GPU hold b alone.
    assert found[ChangeKind.NUM_GPUS].value == 400


def test_retention_is_not_blamed_for_what_the_gpus_take_anyway() -> None:
    profiles = make_profiles(record("a", busy=100.0))
    placement = gpupack.place(
        profiles, "max_throughput", gpus=1, demand={"a": 900.0}, min_retention=0.9
    )

    explanation = placement.explain()

    assert not explanation.is_bound_by_retention
    assert explanation.proof.startswith("no placement serves more than 100 infer/sec")


def test_a_utilization_headroom_above_one_is_said_to_cost_throughput() -> None:
    changes = gpupack.place(MEDICAL, "max_throughput").explain().changes

    # Published: GPU utilization at 110 % takes 5 GPUs instead of 6.
    (change,) = [one for one in changes if one.kind is ChangeKind.HEADROOM]
    assert change.change == "headroom of gpu_utilization from 1 to 1.1"
    assert change.value == 5
    assert "models may lose throughput" in str(change)


def test_a_headroom_up_to_all_of_a_gpu_costs_nothing() -> None:
    # Two models of 45 % share a GPU at 90 %, but not at 80 %.
    profiles = make_profiles(record("a", busy=45.0), record("b", busy=45.0))
    placement = gpupack.place(profiles, "max_throughput", headroom=0.8)

    (change,) = placement.explain().changes

    assert str(change) == "headroom of gpu_utilization from 0.8 to 0.9: 1 (1 less)"


def test_utilizations_are_raised_together_where_one_alone_saves_nothing() -> None:
    # Two models of 60 % of either utilization: both must be allowed 120 %.
    profiles = make_profiles(
        *(
            make_record(
                name,
                throughput_infer_per_sec=100.0,
                gpu_utilization_percent=60.0,
                memory_utilization_percent=60.0,
            )
            for name in "ab"
        )
    )
    placement = gpupack.place(profiles, "max_throughput")

    (change,) = placement.explain().changes

    assert placement.num_gpus == 2
    assert change.change == (
        "headroom of gpu_utilization, memory_utilization from 1 to 1.2"
    )
    assert change.value == 1
    assert "models may lose throughput" in change.trade_off


def test_more_memory_than_a_gpu_has_is_never_offered() -> None:
    profiles = make_profiles(record("a", mib=600), record("b", mib=600))

    changes = gpupack.place(profiles, "max_throughput").explain().changes

    assert [one for one in changes if one.kind is ChangeKind.HEADROOM] == []


def test_where_all_is_served_what_would_save_a_gpu_is_named() -> None:
    # 220 infer/sec take 220 %: three of the four GPUs; at 110 % two would do.
    profiles = make_profiles(record("a", busy=50.0, rate=50.0))
    placement = gpupack.place(profiles, "max_throughput", gpus=4, demand={"a": 220.0})

    explanation = placement.explain()

    assert placement.num_gpus == 3
    assert explanation.proof.startswith("all that is wanted is served")
    (change,) = explanation.changes
    assert change.change == "headroom of gpu_utilization from 1 to 1.1"
    assert (change.value, change.saved, change.is_more) == (2, 1, False)
    assert "2 GPUs (1 less)" in str(change)


def test_throughput_from_a_limited_fleet_is_explained_by_its_bound() -> None:
    profiles = make_profiles(record("a", busy=100.0))
    placement = gpupack.place(profiles, "max_throughput", gpus=2, demand={"a": 900.0})

    explanation = placement.explain()

    assert "200 infer/sec" in explanation.proof
    # 100 infer/sec keep a GPU fully busy; memory would let all 900 be served.
    assert explanation.binding_resource is Resource.GPU_UTILIZATION
    (change,) = explanation.changes
    assert change.kind is ChangeKind.NUM_GPUS
    assert (change.value, change.saved, change.is_more) == (300.0, 100.0, True)
    assert "3 test-gpu GPUs instead of 2: 300 (100 more)" in str(explanation)


@pytest.mark.parametrize("objective", ["min_gpus", "max_throughput"])
def test_searches_that_find_a_plan_only_every_other_time_promise_no_less_than_nothing(
    monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    # At the time limit the same question may be answered one time, not the next.
    placement = gpupack.place(MEDICAL, objective)
    asked = count()

    def plan_now_and_then(*arguments: object, **options: object) -> CapacityPlan:
        plan = plan_capacity(*arguments, **options)
        if next(asked) % 2:
            return plan
        return replace(plan, bins=(), value=0.0, bound=0.0, status=PlanStatus.UNKNOWN)

    monkeypatch.setattr(what_if, "plan_capacity", plan_now_and_then)
    explanation = placement.explain()

    assert next(asked) > 2
    assert str(explanation)
    for change in explanation.changes:
        assert change.value == placement.objective_value - change.saved


def test_one_gpu_is_one_gpu() -> None:
    placement = gpupack.place(make_profiles(make_record("a")))

    assert "1 GPU, and nothing better" in str(placement.explain())


def test_a_type_that_cannot_hold_every_model_is_no_hindrance_where_all_is_served() -> (
    None
):
    # The large model is measured on both types and fits on one of them.
    profiles = ProfileSet(
        records=tuple(
            make_load_point(name, rate=100.0, busy=20.0, mib=mib, gpu_type=one)
            for name, mib in (("small", 100), ("large", 1500))
            for one in (GPU, BIG)
        ),
        baselines=(make_baseline(0, GPU), make_baseline(0, BIG)),
    )
    placed = gpupack.place(
        profiles,
        "max_throughput",
        gpus={GPU: 2, BIG: 1},
        demand={"small": 50.0, "large": 50.0},
        fairness="max_min",
    )
    assert placed.objective_unit == "served_share"
    assert placed.objective_value == 1

    explanation = placed.explain()

    assert "all that is wanted is served" in explanation.proof
    for one in explanation.changes:
        assert one.value < placed.num_gpus
