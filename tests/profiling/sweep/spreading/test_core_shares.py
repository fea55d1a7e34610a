"""How cores are shared between GPUs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpupack.errors import InvalidInputError
from gpupack.profiling.sweep.spreading import core_shares
from gpupack.profiling.sweep.spreading.core_shares import share_cores


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_shares, "count_usable_cpus", lambda: 1000)


def test_each_gpu_gets_the_cores_near_it_and_siblings_stay_together() -> None:
    # Cores 0/8, 1/9 … are hyperthreads of one core.
    cores = [0, 8, 1, 9, 2, 10, 3, 11]
    near = [{2, 3, 10, 11}, {0, 1, 8, 9}]

    assert share_cores(cores, near) == [{2, 10, 3, 11}, {0, 8, 1, 9}]
    assert share_cores(cores, [set(), set()]) == [{0, 8, 1, 9}, {2, 10, 3, 11}]


@given(num_cores=st.integers(1, 40), num_gpus=st.integers(1, 9), data=st.data())
def test_no_core_is_given_twice_and_all_gpus_get_equally_many(
    num_cores: int, num_gpus: int, data: st.DataObject
) -> None:
    cores = list(range(num_cores))
    near = [data.draw(st.sets(st.sampled_from(cores))) for _ in range(num_gpus)]

    if num_cores < num_gpus:
        with pytest.raises(InvalidInputError, match="name fewer GPUs"):
            share_cores(cores, near)
        return
    shares = share_cores(cores, near)

    assert {len(one) for one in shares} == {num_cores // num_gpus}
    given_cores = [core for one in shares for core in one]
    assert len(given_cores) == len(set(given_cores))
    assert set(given_cores) <= set(cores)


def test_a_quota_of_a_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_shares, "count_usable_cpus", lambda: 2)

    assert [len(one) for one in share_cores(range(8), [set(), set()])] == [1, 1]
