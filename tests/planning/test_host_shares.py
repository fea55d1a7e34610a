"""Models that take a share of their GPU's host: cores and main memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

import gpupack
from gpupack.errors import (
    CheckError,
    InfeasibleError,
    InvalidInputError,
    MissingReadingError,
    UnknownNameError,
)
from gpupack.planning.modeling import ask
from gpupack.planning.solving.check import check_placement
from gpupack.profile_set import ProfileSet
from gpupack.records.explanation import ChangeKind
from gpupack.records.gpu import Fleet, FleetEntry, GpuType, Headroom, Resource
from gpupack.records.profile import LoadPoint
from tests.factories import BIG, GPU, MIB, make_baseline, make_profiles, make_record

CORES = {"a": 1.5, "b": 1.0, "c": 2.0, "d": 0.5}


def record(name: str, **values: Any) -> Any:
    return make_record(
        name,
        **{
            "host_cpu_cores": CORES[name],
            "host_memory_bytes": 600 * MIB,
            "gpu_utilization_percent": 10.0,
            "gpu_memory_used_bytes": 100 * MIB,
            **values,
        },
    )


def profiles(*, of_server_mib: int | None = 200) -> ProfileSet:
    baseline = make_baseline(0)
    if of_server_mib is not None:
        baseline = baseline.model_copy(
            update={"host_memory_bytes": of_server_mib * MIB, "missing": {}}
        )
    return ProfileSet(records=tuple(map(record, CORES)), baselines=(baseline,))


def test_cores_bind_where_a_gpus_share_is_said_and_only_there() -> None:
    # 5 cores in all: one GPU without a word, two of 3 cores, three of 2.
    assert gpupack.place(profiles()).num_gpus == 1
    assert gpupack.place(profiles(), host_cpus_per_gpu=3).num_gpus == 2
    assert gpupack.place(profiles(), host_cpus_per_gpu=2).num_gpus == 3


@pytest.mark.parametrize("objective", ["min_gpus", "max_throughput", "min_cost"])
def test_headroom_leaves_a_share_of_the_host_free(objective: str) -> None:
    placed = gpupack.place(
        profiles(),
        objective,
        gpus=GPU.name,
        prices={GPU.name: 1.0},
        headroom=0.8,
        host_cpus_per_gpu=2.5,
    )

    assert placed.headroom.host_cpu == 0.8
    assert placed.num_gpus == 3  # 5 cores ÷ 2
    for gpu in placed.gpus:
        use = gpu.resource(Resource.HOST_CPU)
        assert use is not None
        assert (use.capacity, use.limit) == (2.5, 2.0)
        assert use.used <= 2.0


def test_the_server_alone_counts_once_per_gpu_in_the_hosts_memory() -> None:
    # 200 MiB of server and 400 MiB per model: two fit into 1,000 MiB, not three.
    placed = gpupack.place(profiles(), host_memory_per_gpu=1000 * MIB)
    assert placed.num_gpus == 2
    (use,) = {gpu.resource(Resource.HOST_MEMORY) for gpu in placed.gpus}
    assert use is not None
    assert use.used == 1000 * MIB
    assert placed.gpus[0].baseline_host_memory_bytes == 200 * MIB
    assert placed.gpus[0].assignments[0].host_memory_bytes == 400 * MIB


def test_a_server_that_was_not_measured_counts_with_every_model() -> None:
    # 600 MiB each.
    placed = gpupack.place(profiles(of_server_mib=None), host_memory_per_gpu=1000 * MIB)
    assert placed.num_gpus == 4
    assert any("counts with every model" in one for one in placed.warnings)


def test_cores_follow_the_traffic_and_memory_does_not() -> None:
    # a takes 1.5 cores at 100/s, so 0.75 at 50/s.
    few = gpupack.place(
        make_profiles(record("a")),
        demand={"a": 50.0},
        host_cpus_per_gpu=0.75,
        host_memory_per_gpu="600MiB",
    )
    (gpu,) = few.gpus
    assert gpu.assignments[0].host_cpu_cores == pytest.approx(0.75)
    # Twice the traffic takes twice the cores, and another copy its memory.
    more = gpupack.place(
        make_profiles(record("a")), demand={"a": 100.0}, host_cpus_per_gpu=0.75
    )
    assert more.num_gpus == 2


def test_hosts_of_different_sizes_stand_beside_each_other() -> None:
    small = GpuType(name="small", memory_bytes=1000 * MIB)
    large = GpuType(name="large", memory_bytes=1000 * MIB)
    both = ProfileSet(
        records=tuple(
            record(name, gpu_type=one) for one in (small, large) for name in "ab"
        ),
        baselines=(make_baseline(0, small), make_baseline(0, large)),
    )
    placed = gpupack.place(
        both,
        "min_cost",
        gpus={"small": None, "large": None},
        prices={"small": 1.0, "large": 1.9},
        host_cpus_per_gpu={"small": 1.5},
    )
    # Of the large ones nobody said how many cores they have: they do not bind there.
    assert [gpu.gpu_type.name for gpu in placed.gpus] == ["large"]
    assert placed.gpus[0].resource(Resource.HOST_CPU) is None
    assert placed.gpus[0].assignments[0].host_cpu_cores is None


def test_a_fleet_and_a_request_say_the_same_as_arguments(tmp_path: Any) -> None:
    of_type = GPU.model_copy(
        update={"host_cpus_per_gpu": 2.0, "host_memory_per_gpu": 10**9}
    )
    fleet = Fleet(entries=(FleetEntry(gpu_type=of_type),))
    path = tmp_path / "plan.yaml"
    path.write_text(
        f"gpus: {{{GPU.name}: {{memory_mib: 1000, host_cpus_per_gpu: 2, "
        "host_memory_per_gpu: 1GB}}\n"
    )
    by_argument = gpupack.place(
        profiles(), host_cpus_per_gpu=2, host_memory_per_gpu="1GB"
    )
    by_fleet = gpupack.place(profiles(), gpus=fleet)
    by_file = gpupack.place(profiles(), gpupack.read_request(path))
    assert by_argument.gpus == by_fleet.gpus == by_file.gpus
    assert by_argument.num_gpus == 4  # 200 + 400 MiB, twice 400 are too many


def test_a_placement_keeps_what_was_said_of_the_host() -> None:
    placed = gpupack.place(profiles(), host_cpus_per_gpu=2, host_memory_per_gpu="2Gi")
    again = gpupack.Placement.model_validate_json(placed.to_json())
    assert again == placed
    data = json.loads(placed.to_json())
    (supply,) = data["request"]["gpus"].values()
    assert supply["host_memory_per_gpu"] == 2 * 2**30
    assert gpupack.place(profiles(), again.request).gpus == placed.gpus


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [
        ("64GB", 64 * 10**9),
        ("64GiB", 64 * 2**30),
        ("64Gi", 64 * 2**30),
        ("0.5 TB", 5 * 10**11),
        (2**36, 2**36),
    ],
)
def test_memory_is_read_in_its_unit(text: Any, num_bytes: int) -> None:
    supply = gpupack.GpuSupply(host_memory_per_gpu=text)
    assert supply.host_memory_per_gpu == num_bytes


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"host_cpus_per_gpu": 0}, "must be a number of cores > 0"),
        ({"host_cpus_per_gpu": -2}, "must be a number of cores > 0"),
        ({"host_cpus_per_gpu": float("inf")}, "must be a number of cores > 0"),
        ({"host_cpus_per_gpu": True}, "must be a number of cores > 0"),
        ({"host_cpus_per_gpu": "eight"}, "must be a number of cores > 0"),
        ({"host_cpus_per_gpu": 64_000}, "taken for a wrong unit"),
        ({"host_memory_per_gpu": 64}, "too little for any model; give the unit"),
        ({"host_memory_per_gpu": 0}, "an amount of memory > 0 with its unit"),
        ({"host_memory_per_gpu": "-1GB"}, "an amount of memory > 0 with its unit"),
        ({"host_memory_per_gpu": "64XB"}, "an amount of memory > 0 with its unit"),
        ({"host_memory_per_gpu": "64PB"}, "taken for a wrong unit"),
    ],
)
def test_a_share_of_the_host_that_cannot_be_is_refused(
    asked: dict[str, Any], told: str
) -> None:
    (name,) = asked
    with pytest.raises(InvalidInputError, match=told) as caught:
        gpupack.place(profiles(), **asked)
    assert str(caught.value).startswith(f"{name} of {GPU.name} is ")


def test_a_share_for_a_type_that_is_not_planned_for_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="not among the GPUs"):
        gpupack.place(profiles(), host_cpus_per_gpu={"T4": 8})


def test_headroom_of_a_host_that_nobody_described_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="give host_cpus_per_gpu"):
        gpupack.place(profiles(), headroom={"memory": 1.0, "host_cpu": 0.8})
    with pytest.raises(InvalidInputError, match="a host cannot hold more"):
        gpupack.place(
            profiles(),
            headroom={"memory": 1.0, "host_memory": 1.2},
            host_memory_per_gpu="1GB",
        )


def test_records_without_the_reading_are_named_with_the_way_out() -> None:
    lacking = make_profiles(record("a"), make_record("old"))
    with pytest.raises(MissingReadingError) as caught:
        gpupack.place(lacking, host_cpus_per_gpu=8)
    told = str(caught.value)
    assert "host_cpu binds, but host_cpu_cores is missing for 'old'" in told
    assert "gpupack profile" in told
    assert "leave host_cpus_per_gpu out" in told
    assert "'a'" not in told


def test_a_model_that_needs_more_cores_than_a_gpu_has_is_named() -> None:
    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(profiles(), host_cpus_per_gpu=1.5, headroom=0.9)
    told = str(caught.value)
    assert "'a' needs 1.5 cores of host_cpu" in told
    assert "offers 1.35 cores" in told
    assert "Raise host_cpus_per_gpu to at least 2.3 (at headroom 0.9)" in told
    assert caught.value.resource == "host_cpu"


def test_a_demand_of_one_replica_beyond_the_cores_is_proved_impossible() -> None:
    # 80/s of c take 1.6 cores, and one replica has one.
    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(
            make_profiles(record("c")),
            demand={"c": 80.0},
            max_replicas={"c": 1},
            host_cpus_per_gpu=1,
        )
    assert "host_cpu" in str(caught.value)
    assert "host_cpus_per_gpu test-gpu=1" in str(caught.value)
    # Two replicas with half the traffic each have 0.8 cores of theirs.
    two = gpupack.place(
        make_profiles(record("c")), demand={"c": 80.0}, host_cpus_per_gpu=1
    )
    assert two.num_gpus == 2


def test_explain_tells_that_the_host_binds_and_what_would_help() -> None:
    explanation = gpupack.place(profiles(), host_cpus_per_gpu=3).explain()
    assert explanation.binding_resource is Resource.HOST_CPU
    assert (
        "host_cpu alone takes 2 GPUs: the models need 5 cores, and 1 GPU offers 3 cores"
    ) in explanation.proof
    (change,) = [one for one in explanation.changes if one.kind is ChangeKind.HOST]
    assert change.change == "host_cpus_per_gpu from 3 to 5"
    assert change.value == 1


def test_a_limited_fleet_serves_what_its_hosts_allow() -> None:
    # 100/s take 1.5 cores; one GPU with 0.75 of them serves 50/s.
    placed = gpupack.place(
        make_profiles(record("a")),
        "max_throughput",
        gpus=1,
        demand={"a": 100.0},
        host_cpus_per_gpu=0.75,
    )
    assert placed.objective_value == pytest.approx(50.0)
    (change,) = [one for one in placed.explain().changes if one.kind is ChangeKind.HOST]
    assert change.change == "host_cpus_per_gpu from 0.75 to 1"
    assert change.value == pytest.approx(200 / 3)


def test_a_frontier_tells_what_each_budget_serves_on_its_hosts() -> None:
    points = gpupack.frontier(
        make_profiles(record("a")),
        demand={"a": 100.0},
        budgets=[1, 2],
        host_cpus_per_gpu=0.75,
    ).points
    served = [one.throughput_infer_per_sec for one in points]
    assert served == pytest.approx([50.0, 100.0])


def test_what_to_buy_counts_the_hosts_cores_for_models_that_are_busy() -> None:
    free = gpupack.recommend(
        profiles(),
    )
    bound = gpupack.recommend(profiles(), host_cpus_per_gpu=2)
    assert (free.buy.num_gpus, bound.buy.num_gpus) == (1, 3)


def test_the_check_finds_a_host_that_is_used_beyond_what_it_has() -> None:
    placed = gpupack.place(profiles(), host_cpus_per_gpu=2)
    assert placed.request is not None
    question = ask(profiles(), placed.request)
    check_placement(placed, question)
    crowded = placed.gpus[0].model_copy(
        update={
            "assignments": tuple(one for gpu in placed.gpus for one in gpu.assignments)
        }
    )
    with pytest.raises(CheckError, match="of host_cpu, more than 2"):
        check_placement(
            placed.model_copy(
                update={"gpus": (crowded,), "num_gpus": 1, "objective_value": 1.0}
            ),
            question,
        )


def test_tables_show_cores_with_what_is_left() -> None:
    text = str(
        gpupack.place(profiles(), host_cpus_per_gpu=8, host_memory_per_gpu="8GiB")
    )
    for words in ("host cores", "5 (3)", "host MiB", "1,800 (6,392)"):
        assert words in text


def test_the_headroom_that_binds_leaves_out_what_a_type_says_nothing_of() -> None:
    shares = Headroom(memory=0.9, host_cpu=0.8, host_memory=0.7)
    assert shares.binding_on(GPU) == Headroom(memory=0.9)


@pytest.mark.parametrize(
    ("shares", "asked"),
    [
        ({"host_cpus_per_gpu": 3}, {}),
        ({"host_cpus_per_gpu": 3}, {"objective": "max_throughput"}),
        (
            {"host_cpus_per_gpu": 3},
            {"objective": "min_cost", "prices": {GPU.name: 1.0}},
        ),
        ({"host_memory_per_gpu": "1GiB"}, {}),
        ({"host_cpus_per_gpu": 3, "host_memory_per_gpu": "4GiB"}, {"gpus": 4}),
    ],
)
def test_more_of_the_host_saves_what_it_is_said_to(
    shares: dict[str, Any], asked: dict[str, Any]
) -> None:
    placed = gpupack.place(profiles(), **shares, **asked)

    changes = [one for one in placed.explain().changes if one.kind is ChangeKind.HOST]

    assert changes
    for one in changes:
        assert one.request is not None
        again = gpupack.place(profiles(), request=one.request)
        assert again.objective_value == one.value < placed.objective_value


def test_with_more_of_the_host_models_run_at_the_load_points_that_are_best_then() -> (
    None
):
    # With 4 cores each model runs at 2x1, and two GPUs hold both; at 1x1 one would.
    both = make_profiles(
        *(
            record(
                name,
                load_point=LoadPoint.parse(point),
                throughput_infer_per_sec=rate,
                host_cpu_cores=cores,
                gpu_utilization_percent=busy,
            )
            for name in "ab"
            for point, rate, cores, busy in (
                ("1x1", 100.0, 2.0, 40.0),
                ("2x1", 150.0, 4.0, 60.0),
            )
        )
    )
    placed = gpupack.place(both, "max_throughput", host_cpus_per_gpu=2)
    assert placed.num_gpus == 2

    for one in placed.explain().changes:
        assert one.request is not None
        again = gpupack.place(both, request=one.request)
        assert again.objective_value == one.value
    assert gpupack.place(both, "max_throughput", host_cpus_per_gpu=4).num_gpus == 2


@pytest.mark.parametrize("headroom", [None, {"memory": 1.0, "host_cpu": 1.0}])
def test_gpus_of_another_type_are_tried_with_as_much_of_the_host(
    headroom: dict[str, float] | None,
) -> None:
    # 900 MiB each: three GPUs of 1,000 MiB, or one of 4,000, but for its cores: two.
    both = ProfileSet(
        records=tuple(
            record(
                name,
                gpu_type=one,
                host_cpu_cores=1.0,
                gpu_memory_used_bytes=900 * MIB,
            )
            for one in (GPU, BIG)
            for name in "abc"
        ),
        baselines=(make_baseline(0, GPU), make_baseline(0, BIG)),
    )
    placed = gpupack.place(
        both,
        gpus=GPU.name,
        host_cpus_per_gpu={GPU.name: 2},
        **({} if headroom is None else {"headroom": headroom}),
    )
    assert placed.num_gpus == 3

    changes = placed.explain().changes

    (change,) = [one for one in changes if one.kind is ChangeKind.GPU_TYPE]
    assert str(change) == (
        "big-gpu GPUs instead: 2 (1 less); with as much of the host: host_cpus_per_gpu"
    )
    assert change.request is not None
    again = gpupack.place(both, request=change.request)
    assert again.objective_value == 2
    assert again.gpus[0].gpu_type.host_cpus_per_gpu == 2
