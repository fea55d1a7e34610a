"""Prices and budgets in whole numbers: n times a price pays for n GPUs."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpupack.planning.request.prices import price_units, within_budget

PRICES = st.floats(min_value=1e-6, max_value=1e5)


@given(st.lists(PRICES, min_size=1, max_size=3), st.lists(st.integers(0, 20)))
def test_a_sum_of_prices_is_within_itself(
    prices: list[float], counts: list[int]
) -> None:
    counts = (counts + [1] * len(prices))[: len(prices)]
    total = sum(count * price for count, price in zip(counts, prices, strict=True))
    if not total:
        return

    costs, budget = within_budget(prices, total)

    assert sum(n * cost for n, cost in zip(counts, costs, strict=True)) <= budget


@pytest.mark.parametrize(
    ("prices", "budget"),
    [
        ([0.35, 1.2], 2.0999999999999996),
        ([1 / 3, 1 / 7], 1.0),
        ([2.0, 50.0], 10.5),
        ([0.71, 3.67, 1.006], 7.34),
    ],
)
def test_what_is_within_a_budget_is_what_it_pays_for(
    prices: list[float], budget: float
) -> None:
    costs, most = within_budget(prices, budget)

    for counts in product(range(8), repeat=len(prices)):
        paid = sum(
            n * Fraction(repr(one)) for n, one in zip(counts, prices, strict=True)
        )
        is_within = paid <= Fraction(budget) * (1 + Fraction(1, 10**9))
        cost = sum(n * one for n, one in zip(counts, costs, strict=True))
        assert (cost <= most) is is_within


def test_prices_of_few_digits_become_small_numbers() -> None:
    assert within_budget([0.35, 1.2], 2.1) == ([7, 24], 42)  # in steps of 0.05
    assert within_budget([0.7], 2.0) == ([1], 2)
    assert within_budget([0.7, 5.0], 2.0) == ([1, 3], 2)  # one is out of reach
    assert within_budget([5.0], 2.0)[0] > [within_budget([5.0], 2.0)[1]]


def test_a_price_is_rounded_up_unless_that_is_what_a_float_adds() -> None:
    assert price_units(0.1 + 0.2) == 300_000  # 0.30000000000000004
    assert price_units(0.0000011) == 2
