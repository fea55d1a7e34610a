"""place() against every partition of the models into GPUs."""

import random
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.errors import InfeasibleError
from gpupack.planning.placing import place
from gpupack.profile_set import ProfileSet
from gpupack.records.placement import PlacementStatus
from tests.factories import GPU, MIB, make_profiles, make_record
from tests.planning.set_partitions import fewest_gpus

CAPACITY_BYTES = 1000 * MIB
DEFAULT_BINDING = {
    "min_gpus": ("memory",),
    "max_throughput": ("memory", "gpu_utilization", "memory_utilization"),
}

percentages = st.integers(min_value=0, max_value=800).map(lambda tenths: tenths / 10)


@st.composite
def profile_sets(draw: st.DrawFn) -> ProfileSet:
    baseline_mib = draw(st.integers(min_value=0, max_value=100))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(min_value=0, max_value=600), percentages, percentages
            ),
            min_size=1,
            max_size=8,
        )
    )
    return make_profiles(
        *(
            make_record(
                f"model{index}",
                gpu_memory_used_bytes=(baseline_mib + memory_mib) * MIB,
                gpu_utilization_percent=gpu_utilization,
                memory_utilization_percent=memory_utilization,
            )
            for index, (memory_mib, gpu_utilization, memory_utilization) in enumerate(
                rows
            )
        ),
        baseline_mib=baseline_mib,
    )


shares = st.integers(min_value=50, max_value=100).map(lambda percent: percent / 100)
utilization_shares = st.integers(min_value=50, max_value=150).map(lambda p: p / 100)
headrooms = st.one_of(
    shares,
    st.fixed_dictionaries(
        {"memory": shares},
        optional={
            "gpu_utilization": utilization_shares,
            "memory_utilization": utilization_shares,
        },
    ),
    st.fixed_dictionaries({"gpu_utilization": utilization_shares}),
)


@settings(max_examples=200)
@given(
    profiles=profile_sets(),
    objective=st.sampled_from(sorted(DEFAULT_BINDING)),
    headroom=headrooms,
)
def test_the_number_of_gpus_is_the_smallest_over_all_partitions(
    profiles: ProfileSet, objective: str, headroom: float | dict[str, float]
) -> None:
    binding = (
        headroom
        if isinstance(headroom, dict)
        else dict.fromkeys(DEFAULT_BINDING[objective], headroom)
    )
    expected = fewest_gpus(profiles, binding, CAPACITY_BYTES)
    try:
        placement = place(profiles, objective, headroom=headroom)
    except InfeasibleError:
        assert expected is None
        return

    assert expected is not None
    num_gpus, lowest_highest = expected
    assert placement.status is PlacementStatus.OPTIMAL
    assert (placement.num_gpus, placement.bound) == (num_gpus, num_gpus)
    highest = max(
        Decimal(str(total))
        for gpu in placement.gpus
        for total in (gpu.gpu_utilization_percent, gpu.memory_utilization_percent)
    )
    assert highest == lowest_highest


@settings(max_examples=60)
@given(profiles=profile_sets(), seed=st.integers(min_value=0, max_value=99))
def test_shuffled_profiles_give_the_same_placement(
    profiles: ProfileSet, seed: int
) -> None:
    shuffled = list(profiles.records)
    random.Random(seed).shuffle(shuffled)

    first = place(profiles)
    second = place(ProfileSet(records=tuple(shuffled), baselines=profiles.baselines))

    assert [gpu.models for gpu in first.gpus] == [gpu.models for gpu in second.gpus]


@settings(max_examples=60)
@given(profiles=profile_sets(), share=shares)
def test_more_headroom_never_needs_more_gpus(
    profiles: ProfileSet, share: float
) -> None:
    try:
        tight = place(profiles, headroom=share)
    except InfeasibleError:
        return

    assert place(profiles, headroom=1.0).num_gpus <= tight.num_gpus


def test_the_gpu_of_these_tests_has_the_capacity_that_brute_force_assumes() -> None:
    assert GPU.memory_bytes == CAPACITY_BYTES
