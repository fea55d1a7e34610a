"""Chunks: every load point goes out once, and workers end at about the same time."""

import random

import pytest

from gpupack.profiling.distributed.chunks import MAX_DEATHS, PointsLeft
from gpupack.profiling.sweep import load_points
from gpupack.records.profile import LoadPoint, ModelVariant

TWO = ModelVariant(name="2_instances", num_cpu_instances=2)


def grid(
    sizes: tuple[int, ...] = (1, 2, 4),
    loads: tuple[int, ...] = (1, 2, 4),
    variants: tuple[ModelVariant | None, ...] = (None,),
) -> list[LoadPoint]:
    return [
        LoadPoint(batch_size=b, concurrency=c, variant=variant)
        for variant in variants
        for b in sizes
        for c in loads
    ]


def test_every_load_point_goes_out_once() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        points = {
            f"m{number}": rng.sample(grid(variants=(None, TWO)), rng.randint(1, 18))
            for number in range(rng.randint(1, 4))
        }
        left = PointsLeft(points)
        last = [None] * rng.randint(1, 5)
        seen: list[tuple[str, str]] = []

        while len(left):
            who = rng.randrange(len(last))
            chunk = left.take(len(last), last_model=last[who])
            assert chunk is not None
            last[who] = chunk.model_name  # type: ignore[call-overload]
            seen += [(chunk.model_name, str(one)) for one in chunk.points]
            assert len({one.variant for one in chunk.points}) == 1

        assert left.take(1) is None
        assert sorted(seen) == sorted(
            (name, str(one)) for name, of_model in points.items() for one in of_model
        )


def test_six_points_of_one_model_make_three_for_each_of_two_workers() -> None:
    left = PointsLeft({"m": grid((1, 2), (1, 2, 4))})
    done = [0, 0]

    while len(left):  # whoever has done less is idle first
        who = 0 if done[0] <= done[1] else 1
        chunk = left.take(2)
        assert chunk is not None
        done[who] += len(chunk.points)

    assert done == [3, 3]


def test_of_many_models_whole_ones_go_out_so_that_each_is_loaded_once() -> None:
    left = PointsLeft({f"m{number}": grid() for number in range(3)})

    chunks = [left.take(2) for _ in range(2)]
    # One model of nine points is left for two.
    chunks += [left.take(2) for _ in range(4)]

    found = [chunk for chunk in chunks if chunk is not None]
    assert [len(chunk.points) for chunk in found] == [9, 9, 5, 2, 1, 1]
    assert found[0].model_name != found[1].model_name


def test_a_worker_goes_on_with_the_model_that_it_has() -> None:
    left = PointsLeft({"few": grid((1,), (1, 2)), "many": grid()})

    chunk = left.take(2, last_model="few")

    assert chunk is not None
    assert chunk.model_name == "few"


def test_what_a_dead_worker_left_goes_out_again() -> None:
    left = PointsLeft({"m": grid((1,), (1, 2))})
    chunk = left.take(1)
    assert chunk is not None
    assert chunk.points == tuple(grid((1,), (1, 2)))
    assert len(left) == 0

    left.give_back("m", grid((1,), (1,)))

    again = left.take(1)
    assert again is not None
    assert again.points == tuple(grid((1,), (1,)))


def test_a_load_point_that_kills_its_workers_is_given_up() -> None:
    left = PointsLeft({"m": grid((1,), (1,))})

    told = [left.count_death("m", grid((1,), (1,))[0]) for _ in range(MAX_DEATHS)]

    assert told == [False] * (MAX_DEATHS - 1) + [True]


def test_rates_and_concurrencies_of_a_batch_size_go_out_together() -> None:
    points = load_points((1, 2), (1, 4), (50.0, 2.5))

    chunk = PointsLeft({"m": points}).take(1)

    assert chunk is not None
    assert chunk.points == points
    assert chunk.loads == points


@pytest.mark.parametrize("workers", [1, 3])
def test_nothing_left_is_nothing(workers: int) -> None:
    assert PointsLeft({"m": []}).take(workers) is None
