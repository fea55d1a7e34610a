"""Mean value analysis against closed forms, brute force and its own laws."""

import itertools
import math
from dataclasses import replace
from statistics import fmean
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpupack.planning.contention import network as closed_network
from gpupack.planning.contention.delays import (
    CustomerClass,
    ProbeTimes,
    SharingShape,
)
from gpupack.planning.contention.network import (
    MAX_EXACT_POPULATIONS,
    approximate_rates,
    exact_rates,
    rates,
)
from gpupack.planning.contention.prediction import SHARING_SHAPES, class_from_solo


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
    further = [
        (one - other) / alone
        for one, other, (alone, _) in zip(exact, approximate, solos, strict=True)
    ]
    # Never more optimistic, so crossing over from exact keeps monotony. Of a fast model
    # among slow ones it is further off than on average: 0.25 in a long random search.
    assert min(further) > -1e-9
    assert max(further) < 0.3
    assert fmean(further) < 0.1


def test_many_customers_are_approximated_and_saturate_the_gpu() -> None:
    classes = [CustomerClass(0.01, 0.01)] * 20
    assert 2 ** len(classes) > MAX_EXACT_POPULATIONS
    found = rates(classes, contention_factor=1)
    # A saturated processor-sharing station completes 1 / D requests per second.
    assert sum(found) == pytest.approx(100.0, rel=0.01)


@given(
    st.lists(st.tuples(SOLO, PROBES, st.integers(1, 3)), min_size=1, max_size=3),
    FACTORS,
    SHAPES,
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_equal_models_are_one_class_with_the_customers_of_all(
    kinds: list[tuple[tuple[float, float, int], ProbeTimes | None, int]],
    contention_factor: float,
    shape: SharingShape,
) -> None:
    network = {"contention_factor": contention_factor, "shape": shape}
    classes = [
        class_from_solo(*solo, **network, probe=probe) for solo, probe, _ in kinds
    ]
    copies = [count for _, _, count in kinds]
    apart = [one for one, n in zip(classes, copies, strict=True) for _ in range(n)]
    together = [
        replace(one, num_customers=one.num_customers * count)
        for one, count in zip(classes, copies, strict=True)
    ]
    for solve in (exact_rates, approximate_rates):
        of_all = solve(together, **network)
        of_each = iter(solve(apart, **network))
        for rate, count in zip(of_all, copies, strict=True):
            for _ in range(count):
                assert next(of_each) == pytest.approx(rate / count, rel=1e-9)


@given(st.lists(st.tuples(SOLO, PROBES), min_size=1, max_size=6), FACTORS, SHAPES)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_the_recursion_gives_the_same_one_by_one_and_by_size(
    profiled: list[tuple[tuple[float, float, int], ProbeTimes | None]],
    contention_factor: float,
    shape: SharingShape,
) -> None:
    network = {"contention_factor": contention_factor, "shape": shape}
    classes = [class_from_solo(*solo, **network, probe=one) for solo, one in profiled]
    with mock.patch.object(closed_network, "LOOP_STEPS_PER_SIZE", 10**6):
        one_by_one = exact_rates(classes, **network)
    with mock.patch.object(closed_network, "LOOP_STEPS_PER_SIZE", 0):
        by_size = exact_rates(classes, **network)
    assert by_size == pytest.approx(one_by_one, rel=1e-12)


@given(
    st.lists(st.tuples(LONE, st.integers(1, 30)), min_size=1, max_size=2),
    st.floats(0, 1.5),
    SHAPES,
)
@settings(max_examples=80, derandomize=True, deadline=None)
def test_many_replicas_are_approximated_to_the_cautious_side_of_the_exact_solution(
    kinds: list[tuple[tuple[float, float], int]],
    contention_factor: float,
    shape: SharingShape,
) -> None:
    network = {"contention_factor": contention_factor, "shape": shape}
    classes = [
        replace(class_from_solo(*solo, **network), num_customers=count)
        for solo, count in kinds
    ]
    exact = exact_rates(classes, **network)
    approximate = approximate_rates(classes, **network)
    for one, other, (solo, count) in zip(exact, approximate, kinds, strict=True):
        assert -1e-9 < (one - other) / (count * solo[0]) < 0.16


def test_a_thousand_replicas_of_one_model_are_the_machine_repairman() -> None:
    # X of 1,000 customers that each keep the GPU busy for 0.05 % of the time alone,
    # by the birth-death chain of the machine-repairman model.
    n, demand, elsewhere = 1000, 0.0001, 0.1999
    weights = [1.0]
    for k in range(1, n + 1):
        weights.append(weights[-1] * (n - k + 1) * demand / elsewhere)
    expected = (1 - weights[0] / math.fsum(weights)) / demand
    found = rates([CustomerClass(demand, elsewhere, n)], contention_factor=1)
    assert found[0] == pytest.approx(expected)


def test_newton_takes_few_steps_however_many_customers_there_are() -> None:
    # Saturated to the edge, where an iteration of the fixed point itself is slowest.
    classes = [CustomerClass(0.001, 1.0, 1_000), CustomerClass(0.002, 0.5, 3_000)]
    with mock.patch.object(closed_network, "_MAX_NEWTON_STEPS", 10):
        in_ten = approximate_rates(classes, contention_factor=0.8)
    assert in_ten == approximate_rates(classes, contention_factor=0.8)
    for rate, one in zip(in_ten, classes, strict=True):
        # What it says of the queues must be what its rates lead to.
        queues = [
            x * (c.num_customers / x - c.elsewhere_s)
            for x, c in zip(in_ten, classes, strict=True)
        ]
        own = classes.index(one)
        seen = sum(queues) - queues[own] / one.num_customers
        at_gpu_s = one.gpu_demand_s * (1 + 0.8 * seen)
        assert rate == pytest.approx(one.num_customers / (one.elsewhere_s + at_gpu_s))
