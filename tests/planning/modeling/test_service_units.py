"""Traffic of every size: a few inferences an hour beside a million a second."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpupack
from gpupack.planning.modeling.service_units import (
    MOST_UNITS,
    SERVICE_TOLERANCE,
    demand_units,
    service_units,
    units_down,
    units_up,
)
from gpupack.planning.modeling.sizes import READING_TOLERANCE
from gpupack.records.placement import PlacementStatus
from gpupack.records.profile import LoadPoint
from tests.factories import GPU, make_profiles, make_record

RATES = st.floats(1e-3, 1e6)


@given(rates=st.lists(RATES, min_size=1, max_size=4), demand=st.none() | RATES)
def test_rounding_takes_a_billionth_at_most_and_sums_do_not_overflow(
    rates: list[float], demand: float | None
) -> None:
    units = service_units(rates, demand)

    for number in [*rates, *([demand] if demand else [])]:
        exact = Fraction(repr(number)) * units
        assert exact <= MOST_UNITS
        assert exact - int(exact) <= exact / 10**9


def test_a_demand_beyond_all_replicas_does_not_coarsen_the_units() -> None:
    # It is refused in words, which tell the throughput of a replica.
    assert service_units([0.25], 1e300) >= 100


@pytest.mark.parametrize("rate", [0.0014503, 1.4503, 1450.3])
def test_two_replicas_serve_twice_their_rate_however_small_it_is(rate: float) -> None:
    # Each fills a GPU. Counted in millionths, 0.0029006 was 2,901 and 0.0014503 1,450.
    profiles = make_profiles(
        make_record(throughput_infer_per_sec=rate, gpu_utilization_percent=100.0)
    )

    placement = gpupack.place(profiles, demand={"resnet": float(f"{2 * rate:.9g}")})

    assert placement.num_gpus == 2
    assert placement.status is PlacementStatus.OPTIMAL


def test_all_that_little_traffic_is_is_served_and_told() -> None:
    # Two GPUs of 0.00123456789/s each; both are full.
    rate = 0.00123456789
    profiles = make_profiles(
        make_record(throughput_infer_per_sec=rate, gpu_utilization_percent=100.0)
    )

    placement = gpupack.place(
        profiles, "max_throughput", gpus={GPU: 2}, demand={"resnet": 1.0}
    )

    assert placement.objective_value == pytest.approx(2 * rate, rel=1e-8)
    assert placement.bound == pytest.approx(2 * rate, rel=2e-6)


def test_rates_a_billion_apart_are_each_told_as_precisely() -> None:
    slow, fast = 0.00123456789, 987_654.321
    profiles = make_profiles(
        make_record("slow", throughput_infer_per_sec=slow),
        make_record("fast", throughput_infer_per_sec=fast),
    )
    demand = {"slow": slow, "fast": fast}

    placement = gpupack.place(
        profiles, "max_throughput", gpus={GPU: 1}, demand=demand, fairness="max_min"
    )

    (gpu,) = placement.gpus
    served = {one.model_name: one.served_infer_per_sec for one in gpu.assignments}
    assert served == {
        name: pytest.approx(wanted, rel=2e-6) for name, wanted in demand.items()
    }
    assert placement.objective_value == pytest.approx(1.0, rel=2e-6)


def test_the_slow_model_decides_between_its_load_points_by_their_last_digits() -> None:
    # 0.0012341 is worth more than 0.0012340, and only one of them fits beside "fast".
    def point(concurrency: int, rate: float, percent: float) -> object:
        return make_record(
            "slow",
            load_point=LoadPoint(batch_size=1, concurrency=concurrency),
            throughput_infer_per_sec=rate,
            gpu_utilization_percent=percent,
        )

    profiles = make_profiles(
        make_record("fast", throughput_infer_per_sec=1e6, gpu_utilization_percent=50.0),
        point(1, 0.0012340, 50.0),
        point(2, 0.0012341, 50.0),
        point(4, 0.0012342, 51.0),
    )

    placement = gpupack.place(profiles, "max_throughput", gpus={GPU: 1}, replicas=1)

    (gpu,) = placement.gpus
    points = {one.model_name: str(one.load_point) for one in gpu.assignments}
    assert points["slow"] == "1x2"


@given(
    st.lists(
        st.floats(1e-3, 1e5, allow_nan=False).map(lambda one: float(f"{one:.6g}")),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 9),
    st.sampled_from([0.0, -2e-7, -1e-7, -1e-8, 1e-9, 1e-8, 1e-7, 2e-6, 0.3]),
    st.sampled_from([1.0, 0.8, 0.7]),
)
def test_what_is_plainly_more_is_what_fractions_say_is_more(
    throughputs: list[float], copies: int, off: float, share: float
) -> None:
    demand = throughputs[0] * copies * (1 + off)
    units = service_units(throughputs, demand)
    expected = units_up(demand, units)
    for one in throughputs:
        each = Fraction(repr(one)) * (1 + READING_TOLERANCE) * Fraction(repr(share))
        number = math.ceil(Fraction(repr(demand)) / each)
        served = number * units_down(one, units, share)
        if served >= expected * (1 - SERVICE_TOLERANCE):
            expected = min(expected, served)
    assert demand_units(demand, throughputs, units, share) == expected
