"""Plans that people can run: replicas worth having, one load point per model."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import gpupack
from gpupack.records.profile import LoadPoint
from tests.factories import make_profiles, make_record


def traffic(placement: gpupack.Placement, name: str) -> list[float]:
    return [
        one.served_infer_per_sec or 0.0
        for gpu in placement.gpus
        for one in gpu.assignments
        if one.model_name == name
    ]


def test_a_replica_of_a_trickle_is_given_its_share_or_none() -> None:
    # 110 at 100 per replica at most: 100 and 10, unless each is to serve 40.
    profiles = make_profiles(make_record("a", gpu_utilization_percent=80.0))

    evened = gpupack.place(profiles, demand={"a": 110.0}, min_traffic=40.0)

    served = traffic(evened, "a")
    assert len(served) == 2
    assert min(served) >= 40.0 - 1e-3
    assert sum(served) == pytest.approx(110.0, rel=1e-5)
    # 80 % of a GPU at 100 infer/sec is 88 % at 110: one GPU serves them both.
    assert evened.num_gpus == 1


def test_a_single_replica_may_serve_less() -> None:
    profiles = make_profiles(make_record("a"))

    alone = gpupack.place(profiles, demand={"a": 5.0}, min_traffic=40.0)

    assert traffic(alone, "a") == pytest.approx([5.0], rel=1e-5)


def test_more_replicas_than_can_have_so_much_are_refused_by_name() -> None:
    profiles = make_profiles(make_record("a"))

    with pytest.raises(
        gpupack.InvalidInputError, match=r"models\.a\.min_traffic is 40"
    ):
        gpupack.place(profiles, demand={"a": 100.0}, replicas=3, min_traffic=40.0)
    with pytest.raises(gpupack.InvalidInputError, match="no demand"):
        gpupack.place(profiles, min_traffic={"a": 40.0})


def test_more_replicas_than_can_have_so_much_are_none() -> None:
    # 110 takes two replicas of 100, which cannot both serve 60.
    profiles = make_profiles(make_record("a"))

    with pytest.raises(gpupack.NotFoundInTimeError, match="min_traffic"):
        gpupack.place(profiles, demand={"a": 110.0}, min_traffic=60.0)


@pytest.mark.parametrize("seed", range(8))
def test_no_replica_is_below_its_least_and_all_run_alike(seed: int) -> None:
    rng = random.Random(seed)
    records, demand = [], {}
    for index in range(3):
        rate = float(rng.randint(50, 200))
        for batch in (1, 2):
            records.append(
                make_record(
                    f"m{index}",
                    load_point=LoadPoint(batch_size=batch, concurrency=1),
                    throughput_infer_per_sec=rate * (1 + 0.4 * (batch - 1)),
                    gpu_utilization_percent=float(rng.randint(20, 70)),
                    memory_utilization_percent=float(rng.randint(5, 40)),
                )
            )
        demand[f"m{index}"] = round(rate * rng.uniform(0.3, 2.5), 1)
    profiles = make_profiles(*records)
    least = {name: int(wanted / 3) for name, wanted in demand.items()}

    free = gpupack.place(profiles, demand=demand, time_limit_s=2, workers=1)
    found = gpupack.place(
        profiles, demand=demand, min_traffic=least, one_load_point=True,
        time_limit_s=2, workers=1,
    )  # fmt: skip

    assert found.num_gpus >= free.bound
    assert found.bound <= found.num_gpus
    for name, wanted in demand.items():
        served = traffic(found, name)
        assert sum(served) == pytest.approx(wanted, rel=1e-5)
        assert len(served) == 1 or min(served) >= least[name] * (1 - 1e-4)
        points = Counter(
            one.load_point
            for gpu in found.gpus
            for one in gpu.assignments
            if one.model_name == name
        )
        assert len(points) == 1
