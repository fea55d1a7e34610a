"""The contention model against closed forms, brute force and its own laws."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.planning.contention import (
    MAX_EXACT_CUSTOMERS,
    SHARING_SHAPES,
    CustomerClass,
    ProbedShape,
    ProbeTimes,
    SharingShape,
    approximate_rates,
    class_from_solo,
    customer_class,
    exact_rates,
    predict_retentions,
    rates,
)
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import GpuType
from gpupack.records.profile import (
    KernelTimes,
    LoadPoint,
    ProbeReadings,
    ProfileRecord,
)

GPU = GpuType(name="NVIDIA H200", memory_bytes=143771 * 1024**2)


def make_record(name: str = "model", **values: object) -> ProfileRecord:
    defaults: dict[str, object] = {
        "load_point": LoadPoint(batch_size=1, concurrency=1),
        "gpu_type": GPU,
        "throughput_infer_per_sec": 100.0,
        "gpu_utilization_mean_percent": 40.0,
    }
    return ProfileRecord.with_reason(
        "not read in this test",
        model_name=name,
        environment=Environment(source="test"),
        **(defaults | values),
    )


def rates_of_the_markov_chain(
    classes: list[CustomerClass], contention_factor: float
) -> list[float]:
    """Solve the balance equations of the exponential network state by state.

    A state is how many customers of each class are at the GPU. A request with j
    others there runs 1 + c·j times slower.
    """
    states = list(itertools.product(*(range(one.num_customers + 1) for one in classes)))
    index = {state: number for number, state in enumerate(states)}
    generator = np.zeros((len(states), len(states)))
    for state in states:
        at_gpu = sum(state)
        for position, one in enumerate(classes):
            neighbors = []
            if state[position] < one.num_customers:
                arriving = (one.num_customers - state[position]) / one.elsewhere_s
                neighbors.append((1, arriving))
            if state[position]:
                stretch = 1 + contention_factor * (at_gpu - 1)
                neighbors.append((-1, state[position] / one.gpu_demand_s / stretch))
            for step, rate in neighbors:
                other = list(state)
                other[position] += step
                generator[index[state], index[tuple(other)]] += rate
                generator[index[state], index[state]] -= rate
    system = np.vstack([generator.T, np.ones(len(states))])
    right = np.zeros(len(states) + 1)
    right[-1] = 1
    probabilities = np.linalg.lstsq(system, right, rcond=None)[0]
    return [
        float(
            sum(
                probabilities[index[state]]
                * state[position]
                / one.gpu_demand_s
                / (1 + contention_factor * (sum(state) - 1))
                for state in states
                if state[position]
            )
        )
        for position, one in enumerate(classes)
    ]


def test_two_customers_without_time_elsewhere_halve_the_gpu() -> None:
    classes = [CustomerClass(0.01, 0.0), CustomerClass(0.02, 0.0)]
    # Always together at the GPU: each at half speed.
    assert exact_rates(classes, contention_factor=1) == pytest.approx((50.0, 25.0))


def test_one_class_is_the_machine_repairman() -> None:
    # Closed form for n customers: X = sum over the birth-death chain.
    demand, elsewhere, n = 0.004, 0.010, 5
    weights = [1.0]
    for k in range(1, n + 1):
        weights.append(weights[-1] * (n - k + 1) * demand / elsewhere)
    expected = (1 - weights[0] / sum(weights)) / demand
    found = exact_rates([CustomerClass(demand, elsewhere, n)], contention_factor=1)
    assert found[0] == pytest.approx(expected)


def test_two_customers_follow_the_formula_worked_by_hand() -> None:
    # Q of one alone: D / (Z + D); the other then sees it with the factor.
    first, second = CustomerClass(0.002, 0.003), CustomerClass(0.005, 0.005)
    c = 1.25
    expected_first = 1 / (0.003 + 0.002 * (1 + c * 0.5))
    expected_second = 1 / (0.005 + 0.005 * (1 + c * 0.4))
    found = exact_rates([first, second], contention_factor=c)
    assert found == pytest.approx((expected_first, expected_second))


@pytest.mark.parametrize("contention_factor", [0.0, 0.25, 1.0, 1.25, 3.0])
def test_the_recursion_solves_the_markov_chain_for_every_factor(
    contention_factor: float,
) -> None:
    classes = [
        CustomerClass(0.001, 0.003, 1),
        CustomerClass(0.004, 0.002, 2),
        CustomerClass(0.002, 0.009, 3),
    ]
    assert exact_rates(classes, contention_factor=contention_factor) == pytest.approx(
        rates_of_the_markov_chain(classes, contention_factor), rel=1e-6
    )


SOLO = st.tuples(
    st.floats(1, 500), st.floats(0.001, 1), st.integers(1, 2)
)  # requests/s, GPU share, customers
FACTORS = st.floats(0, 3)


@given(st.lists(SOLO, min_size=1, max_size=5), FACTORS)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_a_model_alone_reproduces_its_own_rate(
    solos: list[tuple[float, float, int]], contention_factor: float
) -> None:
    for rate, share, customers in solos:
        one = class_from_solo(
            rate, share, customers, contention_factor=contention_factor
        )
        found = exact_rates([one], contention_factor=contention_factor)[0]
        assert found == pytest.approx(rate, rel=1e-6)


SHAPES = st.sampled_from(list(SHARING_SHAPES.values()))
PROBES = st.none() | st.builds(
    ProbeTimes,
    request_delay_s=st.floats(2e-6, 1e-2),
    spread_wait_s=st.floats(1e-7, 1e-3),
    single_wait_s=st.floats(0, 1e-2),
)


@given(
    st.lists(st.tuples(SOLO, PROBES), min_size=2, max_size=6),
    FACTORS,
    SHAPES,
    st.floats(0.05, 1),
)
@settings(max_examples=120, derandomize=True, deadline=None)
def test_adding_a_model_never_helps_another(
    profiled: list[tuple[tuple[float, float, int], ProbeTimes | None]],
    contention_factor: float,
    shape: SharingShape,
    sm_share: float,
) -> None:
    classes = [
        class_from_solo(
            *solo,
            contention_factor=contention_factor,
            shape=shape,
            sm_share=sm_share,
            probe=probe,
        )
        for solo, probe in profiled
    ]
    solos = [solo for solo, _ in profiled]
    fewer = rates(classes[:-1], contention_factor=contention_factor, shape=shape)
    more = rates(classes, contention_factor=contention_factor, shape=shape)
    for before, after, (alone, _, _) in zip(fewer, more, solos, strict=False):
        assert after <= before * (1 + 1e-9)
        assert 0 < after <= alone * (1 + 1e-6)


@given(st.lists(SOLO, min_size=1, max_size=6), FACTORS, FACTORS)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_a_larger_contention_factor_never_helps_models_of_one_customer(
    solos: list[tuple[float, float, int]], first: float, second: float
) -> None:
    low, high = sorted((first, second))
    kept_low, kept_high = (
        exact_rates(
            [class_from_solo(x, u, contention_factor=c) for x, u, _ in solos],
            contention_factor=c,
        )
        for c in (low, high)
    )
    for less, more in zip(kept_high, kept_low, strict=True):
        assert less <= more * (1 + 1e-9)


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


def test_a_record_says_per_request_what_the_probe_read() -> None:
    shape = SharingShape(probed=ProbedShape())
    record = make_record(
        load_point=LoadPoint(batch_size=4, concurrency=1),
        probe=ProbeReadings(
            throughput_infer_per_sec=50.0,
            full_kernel=KernelTimes(alone_us=22, beside_us=40),
            spread_kernel=KernelTimes(alone_us=22, beside_us=26),
            single_kernel=KernelTimes(alone_us=8, beside_us=28),
        ),
    )
    found = customer_class(record, 1.0, shape).probe
    assert found is not None
    # 80 ms per request beside the probe, 40 ms without; the GPU is busy 40 % of it.
    assert found.request_delay_s == pytest.approx(0.040)
    assert found.spread_wait_s == pytest.approx(4e-6 / 0.4)
    assert found.single_wait_s == pytest.approx(20e-6 / 0.4)


def test_under_mps_models_that_the_probe_tells_apart_are_predicted_apart() -> None:
    mps = {"contention_factor": 1.15, "shape": SHARING_SHAPES[SharingMode.MPS]}

    def probed(name: str, *, reached: float, spread_us: float) -> ProfileRecord:
        return make_record(
            name,
            sm_utilization_percent=25.0,
            probe=ProbeReadings(
                throughput_infer_per_sec=reached,
                full_kernel=KernelTimes(alone_us=22, beside_us=40),
                spread_kernel=KernelTimes(alone_us=22, beside_us=22 + spread_us),
                single_kernel=KernelTimes(alone_us=8, beside_us=28),
            ),
        )

    other = probed("other", reached=70, spread_us=4)
    patient, hasty = (probed("it", reached=one, spread_us=4) for one in (50, 90))
    quiet, loud = (probed("it", reached=70, spread_us=one) for one in (1, 20))
    kept = [predict_retentions([one, other], **mps)[0] for one in (patient, hasty)]
    assert kept[0] < kept[1]
    kept = [predict_retentions([other, one], **mps)[0] for one in (quiet, loud)]
    assert kept[0] > kept[1]


def test_under_mps_a_neighbor_with_few_busy_sms_disturbs_less() -> None:
    mps = {"contention_factor": 1.0, "shape": SHARING_SHAPES[SharingMode.MPS]}
    # 40 % of the time busy: with 10 % of all SMs over all time, a quarter while busy.
    small, large = (
        make_record(sm_utilization_percent=percent, dram_bandwidth_percent=4.0)
        for percent in (10.0, 36.0)
    )
    beside_small = predict_retentions([large, small], **mps)
    beside_large = predict_retentions([large, large], **mps)
    assert beside_small[0] > beside_large[0]
    # Without GPM readings they are somewhere in between.
    unknown = predict_retentions([large, make_record()], **mps)
    assert beside_large[0] < unknown[0] < beside_small[0]


LONE = st.tuples(st.floats(1, 500), st.floats(0.01, 1))  # requests/s, GPU share


@given(st.lists(LONE, min_size=8, max_size=10), st.floats(0, 1.5), SHAPES)
@settings(max_examples=40, derandomize=True, deadline=None)
def test_near_its_limit_the_exact_solution_agrees_with_the_approximation(
    solos: list[tuple[float, float]], contention_factor: float, shape: SharingShape
) -> None:
    classes = [
        class_from_solo(rate, share, contention_factor=contention_factor, shape=shape)
        for rate, share in solos
    ]
    exact = exact_rates(classes, contention_factor=contention_factor, shape=shape)
    approximate = approximate_rates(
        classes, contention_factor=contention_factor, shape=shape
    )
    for one, other, (alone, _) in zip(exact, approximate, solos, strict=True):
        # Never more optimistic, so crossing over from exact keeps monotony.
        assert -1e-9 < (one - other) / alone < 0.07


def test_many_customers_are_approximated_and_saturate_the_gpu() -> None:
    classes = [CustomerClass(0.01, 0.01)] * (MAX_EXACT_CUSTOMERS + 10)
    found = rates(classes, contention_factor=1)
    # A saturated processor-sharing station completes 1 / D requests per second.
    assert sum(found) == pytest.approx(100.0, rel=0.01)


def test_retention_of_records_is_one_alone_and_less_together() -> None:
    first, second = make_record("first"), make_record("second")
    assert predict_retentions([first], contention_factor=1) == (1.0,)
    # Both busy 40 % of the time: R = D (1 + 0.4), cycle 1 → 1 + 0.4 · 0.4.
    assert predict_retentions([first, second], contention_factor=1) == pytest.approx(
        (1 / 1.16, 1 / 1.16)
    )


def test_a_model_with_two_instances_has_two_customers() -> None:
    lone = make_record(load_point=LoadPoint(batch_size=1, concurrency=4))
    two = make_record(
        load_point=LoadPoint(batch_size=1, concurrency=4), num_model_instances=2
    )
    one_neighbor = predict_retentions([make_record(), lone], contention_factor=1)
    two_neighbors = predict_retentions([make_record(), two], contention_factor=1)
    # The same GPU time in two smaller shares queues less often behind one.
    assert one_neighbor[1] != pytest.approx(two_neighbors[1])


def test_the_highest_utilization_stands_in_for_a_missing_mean() -> None:
    with_mean = make_record()
    with_highest = make_record(
        gpu_utilization_mean_percent=None, gpu_utilization_percent=40.0
    )
    assert predict_retentions(
        [with_mean, with_mean], contention_factor=1
    ) == predict_retentions([with_highest, with_highest], contention_factor=1)


def test_a_missing_reading_is_named_with_the_way_to_get_it() -> None:
    record = make_record("bert", gpu_utilization_mean_percent=None)
    with pytest.raises(MissingReadingError, match=r"bert.*gpu_utilization.*profile"):
        predict_retentions([record, make_record()], contention_factor=1)


def test_profiles_of_two_gpu_types_do_not_share_a_gpu() -> None:
    other = make_record(gpu_type=GpuType(name="NVIDIA L4", memory_bytes=2**34))
    with pytest.raises(InvalidInputError, match="NVIDIA L4"):
        predict_retentions([make_record(), other], contention_factor=1)
