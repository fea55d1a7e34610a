"""The host's cores as a station of the network."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpupack
from gpupack.planning.contention import predict_retentions, resolve_contention
from gpupack.planning.contention.host_station import (
    HostClass,
    HostStation,
    held_up,
    host_class,
)
from gpupack.records.gpu import DeviceKind, GpuType
from tests.factories import MIB, make_profiles, make_record


def repairmen(number: int, away_s: float, busy_s: float, cores: int) -> float:
    """Return the requests per second of each of so many customers, exactly.

    The birth-death chain of customers who want a core (the machine repairman model).
    """
    weights = [1.0]
    for waiting in range(1, number + 1):
        come = (number - waiting + 1) / away_s
        go = min(waiting, cores) / busy_s
        weights.append(weights[-1] * come / go)
    total = sum(weights)
    return (
        sum(
            weight / total * min(waiting, cores) / busy_s
            for waiting, weight in enumerate(weights)
        )
        / number
    )


@pytest.mark.parametrize("cores", [1, 2, 4, 8])
@pytest.mark.parametrize("busy", [0.2, 0.5, 0.8, 0.95])
def test_equal_customers_get_what_the_markov_chain_gives(
    cores: int, busy: float
) -> None:
    for number in (1, 2, 3, 4, 6, 8, 12, 16, 24):
        exact = repairmen(number, 1 - busy, busy, cores)
        own = HostClass(busy, 1.0, 1.0)
        (delay_s,) = HostStation(cores).delays_s([own], [None], [number])
        (found,) = held_up([1.0], [own], [delay_s], [1e-9])
        # Never far too good, and too bad by four points at most.
        assert exact - 0.045 < found < exact + 0.005


def test_nobody_waits_while_there_are_cores_for_all() -> None:
    classes = [HostClass(0.9, 1.0, 1.0), HostClass(0.5, 1.5, 1.0)]
    assert HostStation(2.5).delays_s(classes, [None, None]) == [0.0, 0.0]
    assert min(HostStation(2.0).delays_s(classes, [None, None])) > 0


def test_a_neighbor_with_less_traffic_is_met_less_often() -> None:
    classes = [HostClass(0.8, 1.0, 1.0), HostClass(0.8, 1.0, 1.0)]
    station = HostStation(1)
    alone, little, all_of_it = (
        station.delays_s(classes, [None, rate])[0] for rate in (0.0, 0.2, None)
    )
    assert 0 == alone < little < all_of_it
    # Met with probability 0.16, or 0.32 while it is itself held up as long again.
    assert 0.16 * 0.8 < little < 0.32 * 0.8


def test_what_a_models_own_instances_cost_each_other_is_in_its_profile() -> None:
    four = HostClass(0.9, 1.0, 1.0, num_customers=4)
    assert HostStation(2).delays_s([four], [None]) == [pytest.approx(0.0)]


def test_a_record_tells_cores_per_request_that_is_executed() -> None:
    one = host_class(make_record("a", host_cpu_cores=0.5))
    assert one == HostClass(0.005, 1.0, 0.01)
    wide = host_class(make_record("a", host_cpu_cores=2.2))
    assert wide is not None
    assert wide.width == 2.25
    spinning = host_class(make_record("a", host_cpu_cores=1.02))
    assert spinning == HostClass(0.01, 1.0, 0.01)
    assert wide.busy_s == pytest.approx(2.2 / 2.25 * 0.01)
    assert host_class(make_record("a")) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 0.99), st.sampled_from([1.0, 1.5, 3.0])),
        min_size=2,
        max_size=6,
    ),
    st.floats(0.5, 6),
)
def test_no_model_gains_from_another_on_the_same_cores(
    needs: list[tuple[float, float]], cores: float
) -> None:
    classes = [HostClass(busy, width, 1.0) for busy, width in needs]
    station = HostStation(cores)
    fewer = station.delays_s(classes[:-1], [None] * (len(classes) - 1))
    more = station.delays_s(classes, [None] * len(classes))
    for before, after in itertools.pairwise(zip(fewer, more, strict=False)):
        assert before[0] <= before[1] + 1e-9
        assert after[0] <= after[1] + 1e-9
    likely = station.crowds(classes, [0.5] * len(classes), [1] * len(classes), 0)
    assert math.fsum(likely[1].tolist()) == pytest.approx(1.0)


def test_what_passes_at_the_same_time_is_waited_for_once() -> None:
    # A cycle of 1 s: 0.4 s waits for the GPU, 0.3 s for the processors.
    rates = [1 / 1.4]
    apart, half, whole = (
        held_up(rates, [HostClass(busy, 1.0, 1.0)], [0.3], [0.2])[0]
        for busy in (0.8, 0.9, 1.0)
    )
    assert 1 / apart == pytest.approx(1.7)
    assert 1 / half == pytest.approx(1.55)
    assert 1 / whole == pytest.approx(1.4)


def pipelines(number: int) -> gpupack.ProfileSet:
    return make_profiles(
        *(
            make_record(
                f"pipe{index}",
                host_cpu_cores=0.9,
                gpu_utilization_percent=5.0,
                gpu_utilization_mean_percent=5.0,
                gpu_memory_used_bytes=50 * MIB,
                num_model_instances=1,
                latency_p50_us=9_500.0,
                latency_p99_us=12_000.0,
            )
            for index in range(number)
        )
    )


def test_pipelines_that_fit_on_the_gpu_do_not_fit_on_two_cores() -> None:
    records = pipelines(6).records
    free = predict_retentions(records, contention_factor=0.78)
    bound = predict_retentions(records, contention_factor=0.78, host_cores=2)
    many = predict_retentions(records, contention_factor=0.78, host_cores=6)
    assert free == many
    assert min(free) > 0.75
    # Six that want 5.4 cores of two get a third, and a little for their waits.
    assert bound == pytest.approx([2 / 5.4] * 6, abs=0.03)


def test_a_plan_for_retention_puts_fewer_pipelines_on_a_small_host() -> None:
    asked = {"min_retention": 0.7, "headroom": {"memory": 1.0, "host_cpu": 4.0}}
    free = gpupack.place(pipelines(6), min_retention=0.7)
    bound = gpupack.place(pipelines(6), host_cpus_per_gpu=2, **asked)  # type: ignore[arg-type]
    assert (free.num_gpus, bound.num_gpus) == (1, 3)
    for gpu in bound.gpus:
        assert all(one.retention is not None for one in gpu.assignments)
        assert min(one.retention or 0 for one in gpu.assignments) >= 0.7


def test_latency_beside_neighbors_on_few_cores_is_longer() -> None:
    def slowest_us(**more: object) -> float:
        placed = gpupack.place(
            pipelines(4),
            demand=dict.fromkeys((f"pipe{index}" for index in range(4)), 40.0),
            latency_limit_ms=500,
            max_replicas=1,
            **more,  # type: ignore[arg-type]
        )
        assert placed.num_gpus == 1
        return max(
            one.predicted_latency_us or math.inf for one in placed.gpus[0].assignments
        )

    free, roomy, tight = (
        slowest_us(),
        slowest_us(host_cpus_per_gpu=4),
        slowest_us(host_cpus_per_gpu=1.5),
    )
    assert free == roomy
    assert tight > 1.2 * free


def test_on_the_host_itself_its_cores_are_the_only_station() -> None:
    host = GpuType(name="host, 4 cores", memory_bytes=10**9, kind=DeviceKind.HOST)
    profiles = make_profiles(make_record("a"))
    plain = resolve_contention(profiles, host, None)
    with_cores = resolve_contention(profiles, host, None, host_cores=4)
    assert (plain.factor, plain.host_cores) == (1.0, None)
    assert (with_cores.factor, with_cores.host_cores) == (0.0, 4)
