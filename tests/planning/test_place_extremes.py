"""place() at the edges: optional replicas, rates far apart, time that runs out."""

from pathlib import Path
from typing import Any

import pytest

import gpupack
from gpupack.errors import (
    CheckError,
    InfeasibleError,
    InvalidInputError,
    NotFoundInTimeError,
)
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Job,
    Option,
)
from gpupack.packing.capacity.model.plan import CapacityPlan, PlanStatus
from gpupack.packing.capacity.model.plan_check import check_plan
from gpupack.planning.solving import with_choices as capacity
from gpupack.profile_set import ProfileSet
from gpupack.records.placement import PlacementStatus
from tests.factories import BIG, GPU, make_baseline, make_profiles
from tests.factories import make_load_point as record


def test_more_threads_than_can_be_counted_are_no_matter() -> None:
    placed = gpupack.place(
        "medical", demand={"classification_breast": 50_000}, workers=10**18
    )
    assert placed.status is PlacementStatus.OPTIMAL


def test_what_is_out_of_range_is_told_by_its_range() -> None:
    with pytest.raises(InvalidInputError, match="max_gpus is .* at most a billion"):
        gpupack.place("medical", max_gpus=10**18)
    with pytest.raises(InvalidInputError, match="gpus is .* at most a billion"):
        gpupack.place("medical", gpus=10**18)


@pytest.mark.parametrize("gpus", [None, 3, "T4", {"T4": 2}])
def test_without_profiles_there_is_nothing_to_place(gpus: Any) -> None:
    with pytest.raises(InvalidInputError, match="there are no profiles"):
        gpupack.place(ProfileSet(records=()), gpus=gpus)


def test_an_optional_model_is_left_out_where_not_all_its_replicas_fit() -> None:
    # Three replicas of 400 MiB beside 100 MiB are more than the 1000 MiB of the GPU.
    profiles = make_profiles(record("big", mib=400), record("small", rate=4.0))

    placement = gpupack.place(
        profiles,
        "max_throughput",
        gpus={GPU: 1},
        demand={"big": 100, "small": 1.0},
        replicas={"big": 3},
        optional=["big"],
        fairness="max_min",
    )

    assert placement.status is PlacementStatus.OPTIMAL
    assert placement.objective_value == pytest.approx(1.0)
    assert [gpu.models for gpu in placement.gpus] == [("small",)]


@pytest.mark.parametrize("time_limit_s", [0, 5])
def test_an_optional_model_has_all_its_replicas_where_it_is_served(
    time_limit_s: float,
) -> None:
    # Two replicas of 500 MiB fill the GPU and serve 2 · 20 = 40; one replica would
    # leave room for the other model, which serves 30: 50 in all, but is not allowed.
    profiles = make_profiles(
        record("pair", mib=500, rate=20.0, busy=10.0),
        record("single", mib=400, rate=30.0, busy=10.0),
    )

    placement = gpupack.place(
        profiles,
        "max_throughput",
        gpus={GPU: 1},
        demand={"pair": 90, "single": 30},
        replicas={"pair": 2},
        optional=["pair", "single"],
        time_limit_s=time_limit_s,
    )

    assert placement.objective_value == pytest.approx(40.0)
    assert [gpu.models for gpu in placement.gpus] == [("pair", "pair")]


@pytest.mark.parametrize("objective", ["min_gpus", "min_cost", "max_throughput"])
@pytest.mark.parametrize("time_limit_s", [0, 2])
def test_rates_a_billion_apart_are_planned_without_a_word_on_the_terminal(
    objective: str, time_limit_s: float, capfd: pytest.CaptureFixture[str]
) -> None:
    rates = {"huge": 1e6, "large": 1e5, "small": 0.5, "tiny": 0.001}
    records = [
        record(name, point, rate=rate * share, busy=30.0, mib=mib, gpu_type=gpu_type)
        for name, rate in rates.items()
        for gpu_type, mib in ((GPU, 300), (BIG, 700))
        for point, share in (("1x1", 1.0), ("2x4", 1e-5))
        if rate * share >= 0.001
    ]
    profiles = ProfileSet(
        records=tuple(records),
        baselines=(make_baseline(), make_baseline(gpu_type=BIG)),
    )

    placement = gpupack.place(
        profiles,
        objective,
        gpus={GPU: 4, BIG: 3},
        prices={GPU.name: 1.0, BIG.name: 2.5},
        # Every model wants three replicas' worth.
        demand={name: 3 * rate for name, rate in rates.items()},
        optional=["small"],
        time_limit_s=time_limit_s,
    )

    assert placement.gpus
    assert capfd.readouterr() == ("", "")


def test_a_question_that_was_not_answered_in_time_is_not_called_impossible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def in_no_time(*_: Any, **__: Any) -> CapacityPlan:
        return CapacityPlan((), 0.0, 0.0, PlanStatus.UNKNOWN, "nothing", 0.0)

    monkeypatch.setattr(capacity, "plan_capacity", in_no_time)
    profiles = make_profiles(record("one"))

    with pytest.raises(NotFoundInTimeError, match=r"raise time_limit_s") as caught:
        gpupack.place(profiles, demand={"one": 5.0}, time_limit_s=0.5)

    assert not isinstance(caught.value, InfeasibleError)
    assert "time_limit_s 0.5" in caught.value.limits


def test_a_model_that_fits_nowhere_and_may_be_left_out_is_left_out() -> None:
    # 2000 MiB fit on no GPU of 1000; the other needs two GPUs for its 250.
    profiles = make_profiles(
        record("too-big", mib=2000),
        *(record("one", p, rate=100) for p in ("1x1", "2x4")),
    )

    placement = gpupack.place(
        profiles, demand={"one": 250.0}, optional=["too-big"], gpus={GPU: 3}
    )

    # 250 at 100 per replica of 50 % each: 125 % of a GPU.
    assert placement.num_gpus == 2
    assert any("too-big" in warning for warning in placement.warnings)


def test_a_check_that_fails_names_the_model() -> None:
    problem = CapacityProblem(
        (BinType((1,)),), (Job(name="model 'bert'"),), (Option(0, 0, (1,), (0,), 1),)
    )

    with pytest.raises(CheckError, match="model 'bert' has 0 of 1 copies"):
        check_plan(problem, (), in_full=True)


def test_a_load_of_a_billionth_is_served_beside_what_fits_nowhere() -> None:
    # b takes 79 % and leaves 21 % to c, which serves 0.05/s at 33 %: 0.05 * 21 / 33.
    # What a is asked for takes 2e-9 of its time. At 118,364/s b does not fit.
    profiles = make_profiles(
        record("a", rate=29_269.8, busy=50.0),
        record("b", "4x4", rate=0.3, busy=79.0),
        record("b", "8x1", rate=118_364.0, busy=13.0, mib=950),
        record("c", rate=0.05, busy=33.0),
    )

    placement = gpupack.place(
        profiles, "max_throughput", gpus={GPU: 1}, demand={"a": 1e-4, "c": 0.05}
    )

    expected = 1e-4 + 0.3 + 0.05 * 21 / 33
    assert placement.status is PlacementStatus.OPTIMAL
    assert placement.objective_value == pytest.approx(expected, rel=1e-6)
    served = {one.model_name: one for gpu in placement.gpus for one in gpu.assignments}
    assert served["a"].served_infer_per_sec == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize("fairness", ["sum", "max_min"])
def test_a_millionth_of_a_demand_is_told_to_one_in_a_million(fairness: str) -> None:
    # One GPU of a million that the demands would take, shared by two.
    profiles = make_profiles(
        record("a", rate=1.0, busy=100.0), record("b", rate=3.0, busy=100.0)
    )

    placement = gpupack.place(
        profiles,
        "max_throughput",
        gpus={GPU: 1},
        demand={"a": 5e5, "b": 5e5},
        fairness=fairness,
    )

    # By sum b has all of it; by share x of each: x / 1 + x / 3 = 1, x = 0.75.
    expected = 3.0 if fairness == "sum" else 0.75 / 5e5
    assert placement.status is PlacementStatus.OPTIMAL
    assert placement.objective_value == pytest.approx(expected, rel=2e-6)


def test_millions_of_equal_gpus_are_planned_checked_and_written_as_few_entries(
    tmp_path: Path,
) -> None:
    profiles = gpupack.load_example("medical")

    few = gpupack.place(profiles, "min_gpus", replicas=1_000, time_limit_s=5)
    many = gpupack.place(profiles, "min_gpus", replicas=1_000_000, time_limit_s=5)

    # A plan of a thousand times as many is a thousand times that one.
    assert few.status.value == many.status.value == "OPTIMAL"
    assert many.num_gpus == len(many.gpus) == 1_000 * few.num_gpus
    assert len(many.gpus.runs) < 50
    path = tmp_path / "many.json"
    gpupack.write_placement(many, path)
    assert path.stat().st_size < 200_000
    assert gpupack.read_placement(path) == many


@pytest.mark.parametrize("demand", [5e-324, 1e-300, 1e-12])
def test_a_demand_far_below_any_throughput_is_served_as_it_is(demand: float) -> None:
    profiles = gpupack.load_example("medical")

    placement = gpupack.place(
        profiles, "min_gpus", demand={"classification_breast": demand}
    )

    served = placement.served_infer_per_sec["classification_breast"]
    assert served == pytest.approx(demand, rel=1e-5)


@pytest.mark.parametrize(
    ("demand", "told"),
    [(1e12, "1,000,000,000,000"), (1e18, r"1e\+18"), (1e300, r"1e\+300")],
)
def test_a_demand_beyond_any_number_of_replicas_is_named_in_its_unit(
    demand: float, told: str
) -> None:
    profiles = gpupack.load_example("medical")

    with pytest.raises(InvalidInputError, match=f"a demand of {told} infer/sec"):
        gpupack.place(profiles, "min_gpus", demand={"classification_breast": demand})
