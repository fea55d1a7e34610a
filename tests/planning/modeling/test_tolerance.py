"""Readings are decimals of limited precision: equal shares of a GPU add up to it."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpupack
from gpupack.planning.modeling.sizes import READING_TOLERANCE
from gpupack.profile_set import ProfileSet
from tests.factories import MIB, make_profiles, make_record


def shares(n: int, *, decimals: int | None = None, rate: float = 30.0) -> ProfileSet:
    """Return n models that each take an n-th of a GPU's time."""
    percent = 100 / n if decimals is None else round(100 / n, decimals)
    return make_profiles(
        *(
            make_record(
                f"m{index:03}",
                gpu_utilization_percent=percent,
                memory_utilization_percent=percent,
                gpu_memory_used_bytes=MIB,
                throughput_infer_per_sec=rate,
            )
            for index in range(n)
        )
    )


@pytest.mark.parametrize("n", [*range(2, 50), 97, 128, 199, 300])
def test_n_models_of_an_nth_of_a_gpu_fit_on_one(n: int) -> None:
    placement = gpupack.place(shares(n), "max_throughput")

    assert placement.num_gpus == placement.bound == 1


@pytest.mark.parametrize("n", [3, 7, 41, 49])
@pytest.mark.parametrize(
    "wishes",
    [
        {"demand": 30.0},
        {"replicas": 1},
        {"optional": True, "objective": "max_throughput", "gpus": 1},
        {"objective": "max_throughput", "gpus": 1},
        {"objective": "max_throughput", "gpus": 1, "demand": 30.0},
        {"objective": "min_cost", "prices": {"test-gpu": 1.0}, "demand": 30.0},
    ],
)
def test_equal_shares_add_up_in_every_path(n: int, wishes: dict[str, Any]) -> None:
    profiles = shares(n)
    names = profiles.model_names
    wishes = {"headroom": {"gpu_utilization": 1.0}} | wishes
    if "demand" in wishes:
        wishes["demand"] = dict.fromkeys(names, wishes["demand"])
    if "optional" in wishes:
        wishes["optional"] = names

    placement = gpupack.place(profiles, **wishes)

    assert placement.num_gpus == 1
    assert placement.status == "OPTIMAL"
    assert sorted(placement.gpus[0].models) == list(names)
    assert placement.explain().changes == ()
    if placement.objective_unit == "infer_per_sec":
        assert placement.objective_value == pytest.approx(30.0 * n)


@pytest.mark.parametrize("n", [3, 7, 13, 49])
def test_n_replicas_are_as_many_models_and_serve_n_times_the_demand(n: int) -> None:
    profiles = shares(n).select("m000")
    headroom = {"gpu_utilization": 1.0}

    replicas = gpupack.place(profiles, headroom=headroom, replicas=n)
    once = gpupack.place(profiles, headroom=headroom, demand={"m000": 30.0})
    often = gpupack.place(profiles, headroom=headroom, demand={"m000": 30.0 * n})

    assert [one.num_gpus for one in (replicas, once, often)] == [1, 1, 1]
    assert len(often.gpus[0].assignments) == n


@pytest.mark.parametrize("n", [3, 7, 13, 41])
def test_equal_shares_of_partial_traffic_add_up(n: int) -> None:
    # Each takes a share of 2 / n at its throughput, and is asked for half of that.
    profiles = make_profiles(
        *(
            make_record(
                f"m{index:03}",
                gpu_utilization_percent=200 / n,
                gpu_memory_used_bytes=MIB,
                throughput_infer_per_sec=60.0,
            )
            for index in range(n)
        )
    )
    half = dict.fromkeys(profiles.model_names, 30.0)

    placement = gpupack.place(profiles, headroom={"gpu_utilization": 1.0}, demand=half)

    assert placement.num_gpus == placement.bound == 1


@pytest.mark.parametrize("n", [41, 83, 128, 199])
@pytest.mark.parametrize("part", [1.0, 0.5])
def test_many_demands_that_fill_a_gpu_exactly_are_proved_to(
    n: int, part: float
) -> None:
    # Half of its traffic takes half of an nth: half a GPU in all. At once, too.
    profiles = shares(n)

    placement = gpupack.place(
        profiles,
        demand=dict.fromkeys(profiles.model_names, 30.0 * part),
        headroom={"gpu_utilization": part},
        time_limit_s=0,
    )

    assert placement.num_gpus == placement.bound == 1


@pytest.mark.parametrize("n", [3, 7, 13, 49, 97])
def test_throughputs_of_an_nth_of_a_demand_add_up_to_it(n: int) -> None:
    profiles = shares(1, rate=100 / n).select("m000")

    placement = gpupack.place(profiles, demand={"m000": 100.0}, headroom={"memory": 1})

    assert len(placement.gpus[0].assignments) == n


def test_the_frontier_ends_where_equal_shares_fill_their_gpus() -> None:
    steps = gpupack.frontier(shares(7)).points

    assert [step.num_gpus for step in steps] == [1]
    assert steps[0].throughput_infer_per_sec == pytest.approx(210)


def test_six_decimals_are_precise_enough_for_six_shares() -> None:
    # 6 × 16.666667 % = 100.000002 %.
    assert gpupack.place(shares(6, decimals=6), "max_throughput").num_gpus == 1
    # 6 × 16.6667 % = 100.0002 %: two in a million more than there is.
    assert gpupack.place(shares(6, decimals=4), "max_throughput").num_gpus == 2


PERCENT = st.one_of(
    st.integers(1, 1000).map(lambda n: 100 / n),
    st.integers(1, 10**8).map(lambda units: units / 10**6),
    st.sampled_from([50.000005, 50.0000051, 49.9999949, 33.333333333333336]),
)


@settings(deadline=None, max_examples=60)
@given(percents=st.lists(PERCENT, min_size=2, max_size=12))
def test_models_share_a_gpu_if_and_only_if_their_exact_sum_is_in_tolerance(
    percents: list[float],
) -> None:
    profiles = make_profiles(
        *(
            make_record(f"m{index}", gpu_utilization_percent=percent)
            for index, percent in enumerate(percents)
        )
    )
    total = sum(Fraction(repr(percent)) for percent in percents)
    # Each size is rounded up by less than a billionth of a percent.
    edge = 100 * (1 + READING_TOLERANCE)
    if edge - Fraction(len(percents), 10**9) < total <= edge:
        return

    headroom = {"gpu_utilization": 1.0}
    placement = gpupack.place(profiles, headroom=headroom, time_limit_s=0)
    chosen = gpupack.place(profiles, headroom=headroom, replicas=1, time_limit_s=2)

    assert (placement.bound == 1) is (total <= edge)
    assert (chosen.bound == 1) is (total <= edge)


def test_memory_has_no_tolerance() -> None:
    # A byte more than the 1000 MiB of a GPU, of which a tolerance would be 104 bytes.
    half = 500 * MIB
    profiles = make_profiles(
        make_record("a", gpu_memory_used_bytes=half),
        make_record("b", gpu_memory_used_bytes=half + 1),
    )

    assert gpupack.place(profiles).num_gpus == 2
    assert gpupack.place(profiles, demand={"a": 1.0}).num_gpus == 2
    assert gpupack.place(profiles, optional=["b"]).num_gpus == 1
