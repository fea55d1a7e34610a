"""Who waits how long for whom: the formulas, worked by hand."""

from dataclasses import replace

import pytest

from gpupack.planning.contention.delays import (
    CustomerClass,
    ProbedShape,
    ProbeTimes,
    SharingShape,
)
from gpupack.planning.contention.latency_prediction import ROUND_ROBIN
from gpupack.planning.contention.network import (
    exact_rates,
)
from gpupack.planning.contention.prediction import SHARING_SHAPES


def test_a_slice_and_the_neighbors_weights_enter_as_the_formulas_say() -> None:
    short = CustomerClass(0.001, 0.003, sm_share=0.5, dram_share=0.04)
    long = CustomerClass(0.016, 0.004, sm_share=0.8, dram_share=0.19)
    queue_of_long = 0.016 / 0.020

    sliced = exact_rates(
        [short, long], contention_factor=0.8, shape=SharingShape(slice_s=0.002)
    )
    # It waits for its share of the time, and for the slice that is running.
    delay_s = 0.8 * (0.001 + 0.002) * queue_of_long
    assert sliced[0] == pytest.approx(1 / (0.004 + delay_s))

    shape = SharingShape(
        own_time_exponent=0.5,
        own_sm_exponent=1.0,
        neighbor_sm_exponent=2.0,
        dram_exponent=0.5,
    )
    side_by_side = exact_rates([short, long], contention_factor=1.5, shape=shape)
    # √(1 ms · 16 ms) = 4 ms, and √((0.19 + 0.01) / (0.04 + 0.01)) = 2.
    delay_s = 1.5 * 0.004 * 0.5 * 0.8**2 * 2 * queue_of_long
    assert side_by_side[0] == pytest.approx(1 / (0.004 + delay_s))


def test_what_the_probe_read_of_both_enters_as_the_formula_says() -> None:
    shape = SharingShape(
        probed=ProbedShape(
            strength=2.0,
            own_delay_exponent=0.5,
            own_time_exponent=0.5,
            own_wait_exponent=-1.0,
            neighbor_wait_exponent=1.0,
            neighbor_time_exponent=0.5,
            room_strength=9.0,
            room_exponent=2.0,
        )
    )
    waiting = CustomerClass(
        0.001, 0.003, probe=ProbeTimes(0.004, spread_wait_s=9.0, single_wait_s=0.000015)
    )
    neighbor = CustomerClass(
        0.016,
        0.004,
        sm_share=0.5,
        probe=ProbeTimes(9.0, spread_wait_s=0.00001, single_wait_s=9.0),
    )
    # In ms: 2 · √4 · √1 · (0.015 + 0.005)⁻¹ · 0.01 · √16 = 8, and 9 · 1 · 0.5² = 2.25.
    delay_s = 1e-3 / (1 / 8 + 1 / 2.25)
    assert shape.delay_s(waiting, neighbor) == pytest.approx(delay_s)

    found = exact_rates([waiting, neighbor], contention_factor=1.5, shape=shape)

    queue_of_neighbor = 0.016 / 0.020
    expected = 1 / (0.004 + 1.5 * delay_s * queue_of_neighbor)
    assert found[0] == pytest.approx(expected)
    # Where one of two was not probed, the profiles alone count: fair sharing here.
    for pair in (
        [waiting, replace(neighbor, probe=None)],
        [replace(waiting, probe=None), neighbor],
    ):
        assert shape.delay_s(*pair) == pytest.approx(0.001)


def test_slices_go_round_among_the_models_at_the_gpu() -> None:
    shape = SharingShape(slice_s=0.002, is_round_robin=True)
    short, long = CustomerClass(0.001, 0.01), CustomerClass(0.01, 0.01)

    # Done in its first slice, behind one of each other's.
    assert shape.delay_s(short, long) == pytest.approx(0.002)
    assert shape.delay_s(short, short) == pytest.approx(0.001)
    # Five slices, and before each of them one of the other's, or all that it needs.
    assert shape.delay_s(long, long) == pytest.approx(0.010)
    assert shape.delay_s(long, short) == pytest.approx(0.005)


def test_the_table_of_delays_is_that_of_every_two_models() -> None:
    probe = ProbeTimes(0.0004, 0.00002, 0.00001)
    classes = [
        CustomerClass(0.002, 0.01, 1, 0.3, 0.2, probe),
        CustomerClass(0.001, 0.02, 2, 0.9, 0.05),
        CustomerClass(0.007, 0.0, 1, 0.6, 0.4, replace(probe, spread_wait_s=1e-4)),
    ]
    for shape in (*SHARING_SHAPES.values(), ROUND_ROBIN):
        table = shape.delay_table(classes)
        for row, own in zip(table, classes, strict=True):
            for found, neighbor in zip(row, classes, strict=True):
                assert found == pytest.approx(shape.delay_s(own, neighbor), rel=1e-12)
