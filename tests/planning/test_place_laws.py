"""Laws of place() with choices: more asked for never takes less, and so on."""

import itertools
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gpupack
from gpupack.profile_set import ProfileSet
from gpupack.records.placement import PlacementStatus
from gpupack.records.profile import ProfileRecord
from tests.factories import make_profiles
from tests.planning.solving.test_place_choices import record

laws = settings(max_examples=25, derandomize=True, deadline=None)


@st.composite
def choices(draw: Any) -> tuple[ProfileSet, dict[str, float]]:
    """Two or three models with up to three load points each, and a demand."""
    records: list[ProfileRecord] = []
    demand = {}
    for name in "abc"[: draw(st.integers(2, 3))]:
        for index in range(draw(st.integers(1, 3))):
            records.append(
                record(
                    name,
                    f"{2**index}x1",
                    rate=float(draw(st.integers(20, 200))),
                    busy=float(draw(st.integers(5, 90))),
                    mib=draw(st.integers(100, 600)),
                )
            )
        demand[name] = float(draw(st.integers(0, 400)))
    return make_profiles(*records), demand


def num_gpus(profiles: ProfileSet, **arguments: Any) -> int:
    placement = gpupack.place(profiles, **arguments)
    assume(placement.status is PlacementStatus.OPTIMAL)
    return placement.num_gpus


@laws
@given(choice=choices(), factor=st.sampled_from([1.1, 1.5, 3.0]))
def test_more_demand_never_needs_fewer_gpus(choice: Any, factor: float) -> None:
    profiles, demand = choice
    more = {name: value * factor for name, value in demand.items()}

    assert num_gpus(profiles, demand=more) >= num_gpus(profiles, demand=demand)


@laws
@given(choice=choices(), share=st.sampled_from([0.7, 0.85, 0.95]))
def test_more_headroom_never_needs_more_gpus(choice: Any, share: float) -> None:
    profiles, demand = choice

    tight = num_gpus(profiles, demand=demand, headroom=share)
    assert num_gpus(profiles, demand=demand) <= tight


@laws
@given(choice=choices())
def test_a_wider_choice_of_load_points_never_does_worse(choice: Any) -> None:
    profiles, demand = choice
    pinned = dict.fromkeys(profiles.model_names, "1x1")

    free = num_gpus(profiles, demand=demand)
    assert free <= num_gpus(profiles, demand=demand, load_point=pinned)


@laws
@given(choice=choices())
def test_a_frontier_never_falls_and_ends_where_place_does(choice: Any) -> None:
    profiles, demand = choice
    assume(sum(demand.values()) > 0)

    frontier = gpupack.frontier(
        profiles, demand=demand, find_headroom=False, max_points=50
    )

    served = [point.throughput_infer_per_sec for point in frontier.points]
    assert all(a <= b * (1 + 1e-6) for a, b in itertools.pairwise(served))
    assert served[-1] == pytest.approx(sum(demand.values()), rel=1e-5)
    assert frontier.points[-1].num_gpus == num_gpus(profiles, demand=demand)
