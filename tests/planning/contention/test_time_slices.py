"""Waits for slices that go round: by hand, and against a simulation of them."""

import math
import random

import pytest

from gpupack.planning.contention.delays import CustomerClass, SharingShape
from gpupack.planning.contention.network import exact_rates
from gpupack.planning.contention.time_slices import TimeSlices

SLICES = TimeSlices(slice_s=0.002, switch_s=0.0002)
SHAPE = SharingShape(slices=SLICES)


def simulated(
    classes: list[CustomerClass], slices: TimeSlices, num_cycles: int = 1_500
) -> list[float]:
    """Return what each keeps where slices go round, event by event.

    A process that runs alone goes on from slice to slice; who comes waits for the end
    of the one that is running.
    """
    chance = random.Random(1)
    end = num_cycles * max(one.gpu_demand_s + one.elsewhere_s for one in classes)
    arrivals = [chance.random() * one.elsewhere_s for one in classes]
    left = [0.0] * len(classes)
    done = [0] * len(classes)
    waiting: list[int] = []
    running, began = None, 0.0
    now = 0.0
    while now < end:
        at, who = min(zip(arrivals, range(len(classes)), strict=True))
        stops, is_done = math.inf, False
        if running is not None:
            stops, is_done = began + left[running], True
            if waiting:
                whole = max(0.0, now - began) // slices.slice_s
                slice_end = began + slices.slice_s * (whole + 1)
                if slice_end < stops:
                    stops, is_done = slice_end, False
        if at < stops:
            now, arrivals[who] = at, math.inf
            left[who] = classes[who].gpu_demand_s * chance.uniform(0.95, 1.05)
            if running is None:
                running, began = who, now
            else:
                waiting.append(who)
            continue
        assert running is not None
        now = stops
        if is_done:
            done[running] += 1
            away_s = classes[running].elsewhere_s * chance.uniform(0.5, 1.5)
            arrivals[running] = now + away_s
        else:
            left[running] -= now - began
            waiting.append(running)
        running = waiting.pop(0) if waiting else None
        began = now + slices.switch_s
    return [
        number / end * (one.gpu_demand_s + one.elsewhere_s)
        for number, one in zip(done, classes, strict=True)
    ]


def test_a_short_request_waits_for_what_is_left_of_a_slice() -> None:
    short, long = CustomerClass(0.001, 0.009), CustomerClass(0.02, 0.02)
    # Half a slice and a switch; it comes back within a twentieth of the long one's time
    # away, so that this is there more often than half of the time.
    each = (0.001 + 0.0002) * (1 + 0.5 * 0.001 / 0.02)
    assert SHAPE.delay_s(short, long) == pytest.approx(each)
    # One that is away for 0.5 ms only finds a slice less what it missed of it.
    soon = CustomerClass(0.001, 0.0005)
    each = (0.002 + 0.0002 - 0.7 * 0.0005) * (1 + 0.5 * 0.001 / 0.02)
    assert SHAPE.delay_s(soon, long) == pytest.approx(each)


def test_between_its_slices_a_long_request_waits_for_who_is_back() -> None:
    long, short = CustomerClass(0.019, 0.021), CustomerClass(0.001, 0.004)
    # Ten slices, the last of 1 ms. Of the nine ends between them the short one is there
    # at 1 of 1 + (2 - 1/2), each time for 1 ms and two switches.
    first = 0.2 * (1 + 0.8 * 0.001 / 0.004) * (0.0005 + 0.0002)
    between = 9 / 2.5 * (0.001 + 0.0004)
    delay_s = SHAPE.delay_s(long, short)
    assert delay_s == pytest.approx((first + between) / 0.2)
    kept = exact_rates([long, short], contention_factor=1, shape=SHAPE)[0] * 0.04
    assert kept == pytest.approx(0.04 / (0.04 + first + between))


def test_no_more_than_one_slice_of_a_neighbor_goes_before_each_of_ones_own() -> None:
    long = CustomerClass(0.019, 0.0)
    short = CustomerClass(0.001, 0.0005)
    table = SHAPE.most_table([long, short])
    assert table is not None
    assert table[0].tolist() == pytest.approx([10 * 0.0021, 10 * 0.0012])
    assert table[1].tolist() == pytest.approx([0.0021, 0.0012])
    # Two that never leave: the long one runs at less than what would go round.
    found = exact_rates([long, long], contention_factor=1, shape=SHAPE)
    assert found == pytest.approx([1 / (0.019 + 0.021)] * 2)


def test_who_is_hardly_at_the_gpu_costs_hardly_anything() -> None:
    long, idle = CustomerClass(0.05, 0.005), CustomerClass(1e-12, 0.001)
    kept = exact_rates([long, idle], contention_factor=1, shape=SHAPE)[0] * 0.055
    assert kept == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.5, 0.5), (0.5, 0.5)),
        ((1.0, 0.6), (1.6, 0.6)),
        ((1.0, 5.0), (1.5, 5.0)),
        ((0.8, 0.6), (20.0, 5.0)),
        ((0.8, 10.0), (20.0, 5.0)),
        ((2.4, 0.7), (0.8, 0.8)),
        ((3.3, 0.8), (2.3, 1.6)),
        ((3.0, 10.0), (5.0, 10.0)),
        ((8.0, 2.0), (50.0, 5.0)),
    ],
)
def test_pairs_fare_as_in_a_simulation_of_slices_that_go_round(
    first: tuple[float, float], second: tuple[float, float]
) -> None:
    classes = [CustomerClass(d / 1e3, z / 1e3) for d, z in (first, second)]
    slices = TimeSlices()
    shape = SharingShape(slices=slices)
    expected = simulated(classes, slices)
    found = exact_rates(classes, contention_factor=1, shape=shape)
    for rate, kept, one in zip(found, expected, classes, strict=True):
        alone_s = one.gpu_demand_s + one.elsewhere_s
        assert rate * alone_s == pytest.approx(kept, abs=0.06)


def test_many_at_once_fare_as_in_a_simulation_of_slices_that_go_round() -> None:
    classes = [
        CustomerClass(d / 1e3, z / 1e3)
        for d, z in ((0.8, 0.6), (2.3, 0.8), (3.3, 1.8), (23.0, 5.0), (1.0, 6.0))
    ]
    slices = TimeSlices()
    expected = simulated(classes, slices)
    found = exact_rates(classes, contention_factor=1, shape=SharingShape(slices=slices))
    errors = [
        rate * (one.gpu_demand_s + one.elsewhere_s) - kept
        for rate, kept, one in zip(found, expected, classes, strict=True)
    ]
    # One that comes seldom waits for a whole round, of which half is predicted.
    assert max(map(abs, errors)) < 0.08
    assert sum(map(abs, errors)) / len(errors) < 0.035
