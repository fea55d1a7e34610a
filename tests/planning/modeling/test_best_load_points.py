"""Most throughput on as many GPUs as needed: which of equally fast load points."""

import itertools

import pytest

import gpupack
from gpupack.records.placement import ObjectiveUnit, PlacementStatus
from gpupack.records.profile import LoadPoint, ProfileRecord
from tests.factories import MIB, make_profiles, make_record


def at(name: str, point: str, mib: int, gpu: float, memory: float) -> ProfileRecord:
    batch_size, concurrency = map(int, point.split("x"))
    return make_record(
        name,
        load_point=LoadPoint(batch_size=batch_size, concurrency=concurrency),
        gpu_memory_used_bytes=mib * MIB,
        gpu_utilization_percent=gpu,
        memory_utilization_percent=memory,
    )


def test_of_equally_fast_load_points_the_one_that_saves_a_gpu_is_taken() -> None:
    # c at 8x2 takes less memory, but 70 % beside 80 %; at 2x1 all three are 90 %.
    profiles = make_profiles(
        at("a", "1x1", 100, 40.0, 10.0),
        at("b", "1x1", 100, 40.0, 10.0),
        at("c", "8x2", 100, 70.0, 10.0),
        at("c", "2x1", 200, 10.0, 70.0),
    )

    placement = gpupack.place(profiles, "max_throughput")

    assert (placement.num_gpus, placement.objective_value, placement.bound) == (1, 1, 1)
    assert placement.objective_unit is ObjectiveUnit.GPUS
    assert placement.objective.value == "max_throughput"
    assert placement.status is PlacementStatus.OPTIMAL


@pytest.mark.parametrize("seed", range(8))
def test_equally_fast_load_points_are_all_tried(seed: int) -> None:
    # Three models of two load points each; a GPU holds what sums up to 100 % twice.
    percents = [
        [((17 * i + 29 * seed) % 60 + 20, (41 * i + 13 * seed) % 60 + 20) for i in pair]
        for pair in ((0, 1), (2, 3), (4, 5))
    ]
    profiles = make_profiles(
        *(
            at(f"m{model}", f"{number + 1}x1", 10, float(gpu), float(memory))
            for model, points in enumerate(percents)
            for number, (gpu, memory) in enumerate(points)
        )
    )

    def num_gpus(points: tuple[tuple[int, int], ...]) -> int:
        together = {
            chosen
            for size in (1, 2, 3)
            for chosen in itertools.combinations(range(3), size)
            if all(sum(points[one][d] for one in chosen) <= 100 for d in (0, 1))
        }
        if (0, 1, 2) in together:
            return 1
        return 2 if any(len(one) == 2 for one in together) else 3

    fewest = min(num_gpus(points) for points in itertools.product(*percents))

    placement = gpupack.place(profiles, "max_throughput")

    assert (placement.num_gpus, placement.bound) == (fewest, fewest)


def test_what_neighbors_keep_tells_load_points_of_the_same_size_apart() -> None:
    # By memory alone both load points of b are the same; beside a, busy for 90 % of
    # the time, one that is busy for 90 %, too, cannot keep nine tenths.
    profiles = make_profiles(
        at("a", "1x1", 100, 90.0, 0.0),
        at("b", "1x1", 100, 90.0, 0.0),
        at("b", "2x1", 100, 2.0, 0.0),
    )
    wishes = {"headroom": {"memory": 1.0}, "min_retention": {"b": 0.2, "a": 0.9}}

    pinned = gpupack.place(
        profiles, "max_throughput", load_point={"b": "1x1"}, **wishes
    )
    free = gpupack.place(profiles, "max_throughput", **wishes)

    assert (pinned.num_gpus, free.num_gpus) == (2, 1)


def test_a_headroom_that_would_save_a_gpu_counts_with_every_equal_load_point() -> None:
    # Beside a, c at 8x2 needs 40 + 70 = 110 % of the time of the GPU; at 2x1, 35 + 70 =
    # 105 % of that of its memory.
    profiles = make_profiles(
        at("a", "1x1", 100, 40.0, 35.0),
        at("c", "8x2", 100, 70.0, 10.0),
        at("c", "2x1", 200, 10.0, 70.0),
    )

    placement = gpupack.place(profiles, "max_throughput")
    changes = [
        one.change for one in placement.explain().changes if "headroom" in one.change
    ]

    assert placement.num_gpus == 2
    assert any("memory_utilization from 1 to 1.05" in one for one in changes)
