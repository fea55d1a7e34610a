"""What placements say of how GPUs are shared, and of what another way would keep."""

from typing import Any

import pytest

from gpupack.planning.placing import place
from gpupack.records.environment import SharingMode
from tests.factories import make_profiles
from tests.planning.solving.test_place_choices import BIG, on_both, record

# Two load points of a: something is to be chosen, and all models share one GPU.
PROFILES = make_profiles(
    record("a", "1x1", rate=100.0, busy=40.0),
    record("a", "8x1", rate=300.0, busy=90.0),
    record("b", "1x1", rate=100.0, busy=40.0),
)
DEMAND: dict[str, Any] = {"demand": {"a": 50.0, "b": 100.0}, "workers": 1}


def test_a_placement_with_choices_says_what_its_prediction_rests_on() -> None:
    chosen = place(PROFILES, **DEMAND)
    plain = place(PROFILES, load_point="1x1")

    assert chosen.num_gpus == plain.num_gpus == 1
    assert chosen.contention_factor is not None
    assert chosen.contention_factor == plain.contention_factor


def test_what_another_way_of_sharing_would_keep_is_what_it_keeps() -> None:
    (other,) = place(PROFILES, **DEMAND).sharing_alternatives
    there = place(PROFILES, **DEMAND, sharing="mps")

    kept = [one.retention or 0.0 for one in there.gpus[0].assignments]
    assert other.sharing_mode is SharingMode.MPS
    assert other.lowest_retention == pytest.approx(min(kept))
    assert other.mean_retention == pytest.approx(sum(kept) / len(kept))


def test_gpus_that_hold_the_same_count_as_often_as_there_are_of_them() -> None:
    # 90 % of a GPU give 300 infer/sec of a: 1,000 take four GPUs, with b on one.
    profiles = PROFILES
    placement = place(profiles, demand={"a": 1000.0, "b": 10.0}, workers=1)
    there = place(profiles, demand={"a": 1000.0, "b": 10.0}, workers=1, sharing="mps")

    (other,) = placement.sharing_alternatives
    kept = [one.retention or 0.0 for gpu in there.gpus for one in gpu.assignments]
    assert placement.num_gpus > 2
    assert other.mean_retention == pytest.approx(sum(kept) / len(kept))


def test_gpu_types_of_one_factor_rest_on_it() -> None:
    profiles = on_both(
        record("a", busy=60.0), record("b", busy=60.0, gpu_type=BIG, mib=600)
    )

    placement = place(profiles, gpus={"test-gpu": None, "big-gpu": None}, workers=1)

    assert {gpu.gpu_type.name for gpu in placement.gpus} == {"test-gpu", "big-gpu"}
    assert placement.contention_factor is not None
