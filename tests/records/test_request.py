"""A request is data: checked, compared, hashed, written and read again."""

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import gpupack
from gpupack.errors import GpupackError, InvalidInputError, UnknownNameError
from gpupack.records.gpu import Headroom
from gpupack.records.profile import LoadPoint
from gpupack.records.request import GpuSupply, ModelWishes, Request

EVERYTHING: dict[str, Any] = {
    "objective": "min_cost",
    "gpus": {"T4": {"count": 8, "price": 0.35}, "L4": None, "mine": {"memory_mib": 9}},
    "max_gpus": 9,
    "headroom": {"memory": "90%", "gpu_utilization": 1.1},
    "defaults": {"latency_limit_ms": 50},
    "models": {
        "resnet": {
            "demand": 20,
            "replicas": 2,
            "max_replicas": 5,
            "weight": 1,
            "optional": True,
            "min_retention": "90%",
            "load_point": "2x4",
        }
    },
    "workers": 1,
}


def test_what_people_write_is_what_is_asked() -> None:
    request = Request.model_validate(EVERYTHING)

    resnet = request.models["resnet"]
    assert (resnet.demand, resnet.min_retention, resnet.load_point) == (
        20.0,
        0.9,
        LoadPoint(batch_size=2, concurrency=4),
    )
    assert request.headroom == Headroom(memory=0.9, gpu_utilization=1.1)
    assert request.gpus == {
        "T4": GpuSupply(count=8, price=0.35),
        "L4": GpuSupply(),
        "mine": GpuSupply(memory_mib=9),
    }


@pytest.mark.parametrize(
    "listed",
    [
        [{"name": "T4", "count": 2}, "L4"],
        [{"gpu_type": "T4", "count": 2}, {"gpu": "L4"}],
        [{"T4": 2}, {"L4": None}],
        [["T4", 2], ("L4", None)],
        [{"T4": 2, "L4": None}],
    ],
)
def test_gpus_may_be_listed(listed: list[Any]) -> None:
    assert Request(gpus=listed).gpus == {"T4": GpuSupply(count=2), "L4": GpuSupply()}


def test_two_names_are_two_gpu_types_and_not_a_name_and_a_count() -> None:
    assert Request(gpus=["T4", "L4"]).gpus == {"T4": GpuSupply(), "L4": GpuSupply()}
    assert Request(gpus=["T4"]).gpus == {"T4": GpuSupply()}
    assert Request(gpus=["T4", 2]).gpus == {"T4": GpuSupply(count=2)}


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ([], "names no GPU type"),
        (["T4", "T4"], "'T4' twice"),
        ([3, 4], "a list of such"),
        ([{"name": {}, "count": 2}], "a list of such"),
        ([{"name": "T4", "gpu": "L4"}], "both name and gpu"),
        ([{"name": "T4", "coun": 2}], "unknown field gpus.T4.coun"),
    ],
)
def test_a_list_that_names_no_gpus_is_refused(listed: list[Any], told: str) -> None:
    with pytest.raises(GpupackError, match=told):
        Request(gpus=listed)


def test_every_fault_is_told() -> None:
    asked = {"models": {"a": {"demand": "many"}, "b": {"demnd": 3}}, "seed": "x"}

    with pytest.raises(InvalidInputError) as caught:
        Request.model_validate(asked)

    told = str(caught.value)
    assert told.startswith("models.a.demand is 'many'; it must be finite")
    assert ". Also: unknown field models.b.demnd; there are demand, " in told
    assert ". Also: seed is 'x'" in told


def test_requests_are_compared_hashed_pickled_copied_and_read_again() -> None:
    request = Request.model_validate(EVERYTHING)
    again = Request.model_validate(
        EVERYTHING | {"gpus": dict(reversed(EVERYTHING["gpus"].items()))}
    )

    assert request == again
    assert hash(request) == hash(again)
    assert pickle.loads(pickle.dumps(request)) == request
    assert copy.deepcopy(request) == request
    assert Request.model_validate_json(request.to_json()) == request
    assert request != Request.model_validate(EVERYTHING | {"seed": 1})


def test_printing_shows_what_was_asked_and_no_more() -> None:
    request = Request.model_validate(
        {"headroom": "80%", "models": {"a": {"demand": 2}}}
    )

    assert json.loads(str(request)) == {"headroom": 0.8, "models": {"a": {"demand": 2}}}
    assert str(Request()) == "{}"


def test_what_holds_for_all_models_gives_way_to_what_is_asked_of_one() -> None:
    request = Request(
        defaults=ModelWishes(demand=1.0, optional=True),
        models={"a": ModelWishes(demand=0.0, optional=False, weight=2.0)},
    )

    assert request.of_model("a") == ModelWishes(demand=0.0, optional=False, weight=2.0)
    assert request.of_model("b") == ModelWishes(demand=1.0, optional=True)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"objective": "fast"}, UnknownNameError, "unknown objective 'fast'; there"),
        ({"objektive": 1}, UnknownNameError, "unknown field objektive; there are obj"),
        ({"demand": {"a": 5}}, UnknownNameError, "models.NAME.demand"),
        (
            {"models": {"resnet": {"demand": -1}}},
            InvalidInputError,
            "models.resnet.demand is -1; it must be finite, infer/sec, ≥ 0",
        ),
        ({"models": {"a": {"demand": True}}}, InvalidInputError, "a.demand is True"),
        ({"models": {"a": {"demand": "5"}}}, InvalidInputError, "a.demand is '5'"),
        ({"models": {"a": {"demnd": 5}}}, UnknownNameError, "field models.a.demnd; "),
        ({"models": {"a": {"load_point": "2by4"}}}, InvalidInputError, "such as 2x4"),
        ({"models": {"a": {"min_retention": 2}}}, InvalidInputError, "at most 1"),
        ({"models": {"a": 5}}, InvalidInputError, "models.a is 5; it must be fields"),
        ({"models": {1: {}}}, InvalidInputError, "models.1 is 1; a name must be text"),
        ({"gpus": {"T4": 0}}, InvalidInputError, "gpus.T4.count is 0; it must be a"),
        ({"gpus": {"T4": {"price": 0}}}, InvalidInputError, "gpus.T4.price is 0; "),
        ({"gpus": {"T4": {"cont": 1}}}, UnknownNameError, "gpus.T4.cont; there are c"),
        ({"gpus": {}}, InvalidInputError, "no GPU type"),
        ({"gpus": 0}, InvalidInputError, "gpus is 0; it must be a whole number ≥ 1"),
        ({"headroom": "80"}, InvalidInputError, "headroom is '80'"),
        ({"headroom": {"ram": 1}}, UnknownNameError, "'ram'.*gpu_utilization"),
        ({"time_limit_s": float("inf")}, InvalidInputError, "time_limit_s is inf"),
        ({"workers": 0}, InvalidInputError, "workers is 0; it must be .* threads ≥ 1"),
        (5, InvalidInputError, "the request is 5; it must be fields"),
    ],
)
def test_a_wish_that_cannot_be_is_told_by_its_path(
    value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Request.model_validate(value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Request.model_validate({"models": {"a": {"demand": "x" * 100_000}}})

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "share"), [("80%", 0.8), ("7 %", 0.07), ("33.3%", 0.333), ("100%", 1.0)]
)
def test_a_percentage_is_the_share_that_a_person_means(text: str, share: float) -> None:
    assert Request(headroom=text).headroom == share  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    request = Request.model_validate(
        {"models": {"a": {"demand": np.float32(2), "replicas": np.int64(3)}}}
    )

    assert request.models["a"] == ModelWishes(demand=2.0, replicas=3)
    assert (
        gpupack.place(
            gpupack.load_example("medical"),
            headroom=np.float32(1),
            gpus=np.int64(4),  # type: ignore[arg-type]
        ).num_gpus
        == 4
    )


def test_a_headroom_of_one_resource_is_read_from_what_pydantic_writes() -> None:
    placement = gpupack.place(
        gpupack.load_example("medical"), headroom={"memory": 1.0}, time_limit_s=0
    )

    written = placement.model_dump_json()

    assert type(placement).model_validate_json(written) == placement
    assert gpupack.Placement.model_validate_json(placement.to_json()) == placement


def test_a_headroom_of_nothing_but_null_names_no_resource() -> None:
    with pytest.raises(InvalidInputError, match="names no resource"):
        Request.model_validate({"headroom": {"memory": None}})


@pytest.mark.parametrize("wrong", [np.array([1, 2]), np.array([]), 98, True, "99th"])
def test_a_percentile_that_no_record_has_is_told_those_that_are(wrong: object) -> None:
    with pytest.raises(InvalidInputError, match="profiles have 50, 90, 95, 99"):
        Request.model_validate({"latency_percentile": wrong})


def test_yes_and_no_may_be_those_of_numpy_but_no_array() -> None:
    profiles = gpupack.load_example("medical")

    placement = gpupack.place(
        profiles,
        allow_unstable=np.bool_(True),  # type: ignore[arg-type]
        time_limit_s=0,
    )

    assert placement.request is not None
    assert placement.request.allow_unstable is True
    for argument in ("allow_unstable", "carry_memory_over", "one_load_point"):
        with pytest.raises(InvalidInputError, match="must be true or false"):
            gpupack.place(profiles, **{argument: np.array([True, False])})  # type: ignore[arg-type]
