"""Models with part of their traffic, against networks of their own."""

from math import prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpupack.planning.contention.delays import SharingShape
from gpupack.planning.contention.network import (
    MAX_EXACT_POPULATIONS,
    class_at_load,
    limits_beside,
    rates,
    slowed_down,
)
from gpupack.planning.contention.prediction import SHARING_SHAPES, class_from_solo
from gpupack.records.environment import SharingMode

SOLO = st.tuples(
    st.floats(1, 500), st.floats(0.001, 1), st.integers(1, 2)
)  # requests/s, GPU share, customers
SHAPES = st.sampled_from(list(SHARING_SHAPES.values()))


def test_a_model_with_less_traffic_is_one_whose_customers_wait_longer() -> None:
    shape = SHARING_SHAPES[SharingMode.MPS]
    whole = class_from_solo(100.0, 0.4, 1, contention_factor=1.15, shape=shape)

    part = slowed_down(whole, 25.0, contention_factor=1.15, shape=shape)

    # 4 ms at the GPU as before, and 40 ms from one request to the next.
    assert part.gpu_demand_s == whole.gpu_demand_s == pytest.approx(0.004)
    assert part.elsewhere_s == pytest.approx(0.036)
    of_two = class_from_solo(150.0, 0.7, 2, contention_factor=1.15, shape=shape)
    part = slowed_down(of_two, 40.0, contention_factor=1.15, shape=shape)
    assert part.gpu_demand_s == of_two.gpu_demand_s
    assert rates([part], contention_factor=1.15, shape=shape) == pytest.approx((40.0,))


@given(
    st.lists(st.tuples(SOLO, st.floats(0.05, 1)), min_size=1, max_size=5),
    SHAPES,
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_every_models_limit_beside_the_traffic_of_the_others_is_that_of_its_own_network(
    models: list[tuple[tuple[float, float, int], float]], shape: SharingShape
) -> None:
    network = {"contention_factor": 0.8, "shape": shape}
    driven = [class_from_solo(*solo, **network) for solo, _ in models]
    at_traffic = [
        slowed_down(one, load * rates([one], **network)[0], **network)
        for one, (_, load) in zip(driven, models, strict=True)
    ]

    found = limits_beside(driven, at_traffic, **network)

    for index, own in enumerate(driven):
        others = at_traffic[:index] + at_traffic[index + 1 :]
        alone_driven = rates([own, *others], **network)[0]
        assert found[index] == pytest.approx(alone_driven)


@given(
    st.lists(
        st.tuples(SOLO, st.floats(0, 1), st.integers(1, 3)), min_size=1, max_size=3
    ),
    SHAPES,
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_copies_of_a_model_have_the_limit_of_models_given_one_by_one(
    models: list[tuple[tuple[float, float, int], float, int]], shape: SharingShape
) -> None:
    # Beyond, models given one by one are predicted by an approximation.
    num_populations = prod((1 + solo[2]) ** count for solo, _, count in models)
    assume(num_populations <= MAX_EXACT_POPULATIONS)
    network = {"contention_factor": 0.8, "shape": shape}
    driven = [class_from_solo(*solo, **network) for solo, _, _ in models]
    at_traffic = [
        class_at_load(one, rates([one], **network)[0], load, **network)
        for one, (_, load, _) in zip(driven, models, strict=True)
    ]
    copies = [count for _, _, count in models]
    each = [place for place, count in enumerate(copies) for _ in range(count)]

    together = limits_beside(driven, at_traffic, copies=copies, **network)

    apart = limits_beside(
        [driven[place] for place in each],
        [at_traffic[place] for place in each],
        **network,
    )
    assert apart == pytest.approx([together[place] for place in each])
