"""What is said to clash does, nothing of it can be left out, and it is said soon."""

import random
import time
from typing import Any

import pytest

import gpupack
from gpupack.errors import InfeasibleError
from gpupack.profile_set import ProfileSet
from tests.factories import GPU, MIB, make_profiles
from tests.planning.set_partitions import set_partitions
from tests.planning.solving.test_place_choices import BIG, on_both, record

LIMIT_S = 2.0
"""Of computing, where a sum proves that there is no placement."""


def clash(profiles: ProfileSet, **arguments: Any) -> InfeasibleError:
    """The error, the second time: what is loaded only once is not counted."""
    for is_second in (False, True):
        started = time.process_time()
        with pytest.raises(InfeasibleError) as caught:
            gpupack.place(profiles, **arguments)
        if is_second:
            assert time.process_time() - started < LIMIT_S
    return caught.value


def many(num_models: int, lowest_mib: int, highest_mib: int) -> ProfileSet:
    rng = random.Random(3)
    return make_profiles(
        *(
            record(
                f"m{index:02}",
                mib=rng.randint(lowest_mib, highest_mib),
                busy=float(rng.randint(5, 60)),
            )
            for index in range(num_models)
        )
    )


def memory_mib(profiles: ProfileSet, names: tuple[str, ...]) -> list[int]:
    return [
        (one.gpu_memory_used_bytes or 0) // MIB
        for one in profiles.records
        if one.model_name in names
    ]


@pytest.mark.parametrize("objective", ["min_gpus", "max_throughput"])
def test_sixty_models_on_ten_gpus_clash_by_eleven_that_share_with_none(
    objective: str,
) -> None:
    profiles = many(60, 100, 700)

    error = clash(profiles, objective=objective, gpus=10)

    # Any two of them are beyond the 1000 MiB of a GPU: eleven need eleven GPUs, and
    # any ten have one each.
    assert len(error.model_names) == 11
    sizes = sorted(memory_mib(profiles, error.model_names))
    assert sizes[0] + sizes[1] > 1000
    assert error.limits == ("headroom of memory 1", "10 test-gpu GPUs")
    assert "GPUs would do" in str(error)


def test_models_that_are_too_many_by_their_sum_are_as_few_as_its_largest() -> None:
    # Two of 300 to 400 MiB fit a GPU, three seldom, four never.
    profiles = many(60, 300, 400)

    error = clash(profiles, gpus=10)

    named = sorted(memory_mib(profiles, error.model_names))
    assert len(named) > 20
    # Not one GPU holds three of the named, so ten hold twenty.
    assert sum(named[:3]) > 1000
    assert len(named) == 21


@pytest.mark.parametrize(
    "wishes",
    [
        {"demand": {f"m{index:02}": 300.0 for index in range(60)}},
        {"replicas": 2},
        {"min_retention": 0.7},
        {"gpus": {GPU: 10}, "objective": "min_cost", "prices": {"test-gpu": 1.0}},
    ],
    ids=["demand", "replicas", "retention", "cost"],
)
def test_other_wishes_do_not_make_the_proof_slow_or_the_set_large(
    wishes: dict[str, Any],
) -> None:
    profiles = many(60, 100, 700)

    error = clash(profiles, **({"gpus": 10} | wishes))

    # Three replicas serve 300, so that four models need twelve of over 500 MiB.
    most = {"demand": 4, "replicas": 6}.get(next(iter(wishes)), 11)
    assert len(error.model_names) <= most
    assert min(memory_mib(profiles, error.model_names)) > 500


def test_a_budget_for_sixty_models_is_too_small_by_a_few() -> None:
    profiles = many(60, 100, 700)

    with pytest.raises(InfeasibleError) as caught:
        gpupack.frontier(profiles, budgets=[10])

    assert len(caught.value.model_names) == 11
    assert "budget of 10 GPUs" in caught.value.limits


@pytest.mark.parametrize("seed", range(30))
def test_the_models_named_clash_and_without_any_one_they_would_not(seed: int) -> None:
    rng = random.Random(seed)
    num_gpus = rng.randint(1, 3)
    sizes = {f"m{index}": rng.randint(150, 800) for index in range(8)}
    profiles = make_profiles(*(record(name, mib=mib) for name, mib in sizes.items()))

    def fits(names: tuple[str, ...]) -> bool:
        return any(
            len(partition) <= num_gpus
            and all(
                sum(sizes[names[index]] for index in group) <= 1000
                for group in partition
            )
            for partition in set_partitions(range(len(names)))
        )

    try:
        gpupack.place(profiles, gpus=num_gpus)
    except InfeasibleError as error:
        named = error.model_names
        assert not fits(named)
        for left_out in named:
            assert fits(tuple(one for one in named if one != left_out))
    else:
        assert fits(tuple(sizes))


def test_a_budget_below_one_gpu_clashes_whatever_binds() -> None:
    profiles = make_profiles(record("a"), record("b"))

    with pytest.raises(InfeasibleError) as caught:
        gpupack.frontier(profiles, by="price", prices={"test-gpu": 1.0}, budgets=[0.5])

    assert caught.value.limits == ("budget of 0.5 per hour",)
    assert len(caught.value.model_names) == 1


def test_what_min_retention_alone_forbids_is_not_blamed_on_memory() -> None:
    # Of two busy models neither keeps all beside the other; memory has room for ten.
    profiles = make_profiles(record("a", busy=90.0), record("b", busy=90.0))

    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(profiles, gpus=1, min_retention={"a": 1.0}, replicas=1)

    assert caught.value.model_names == ("a", "b")
    assert caught.value.limits == ("1 test-gpu GPU", "min_retention of 'a' 1")


def test_two_types_of_which_neither_has_room_are_both_named() -> None:
    # 4 + 1 GPUs hold at most one of 600 MiB each on the small, six on the big.
    profiles = on_both(
        *(record(f"m{index:02}", mib=600) for index in range(40)),
        *(record(f"m{index:02}", mib=600, gpu_type=BIG) for index in range(40)),
    )

    error = clash(profiles, gpus={GPU: 4, BIG: 1})

    # 4 × 1 + 6 = 10 fit; the sum of the memory, 8000 MiB, only says 13.
    assert len(error.model_names) == 11
    assert "4 test-gpu GPUs" in error.limits
    assert "1 big-gpu GPU" in error.limits


def test_of_many_clashing_models_a_few_are_named_and_the_others_counted() -> None:
    # Each takes more than half of a GPU: of 60 none two share one, and there are 30.
    half_mib = GPU.known_memory_bytes() // MIB // 2
    profiles = many(60, half_mib + 1, half_mib + 50)

    with pytest.raises(InfeasibleError) as caught:
        gpupack.place(profiles, "min_gpus", gpus={GPU.name: 30}, time_limit_s=1)

    told = str(caught.value)
    assert len(caught.value.model_names) > 30  # all of them, for programs
    assert "more" in told
    assert sum(f"'{name}'" in told for name in caught.value.model_names) <= 20
