"""Numbers of Python, numpy, ``decimal`` and ``fractions`` are taken as meant."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from gpupack.given_numbers import (
    currency_in,
    real_number,
    share_number,
    whole_number,
)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (3, 3.0),
        (2.1, 2.1),
        (np.float64(2.1), 2.1),
        (np.float32(2.1), 2.1),  # not 2.0999999046325684
        (np.float16(0.1), 0.1),
        (np.int64(3), 3.0),
        (np.uint8(255), 255.0),
        (np.array(0.8), 0.8),
        (Decimal("0.35"), 0.35),
        (Fraction(1, 4), 0.25),
        (10**400, math.inf),
        (Fraction(-(10**400)), -math.inf),
        (Decimal("1e999"), math.inf),
    ],
)
def test_a_number_is_taken_as_it_is_written(given: object, value: float) -> None:
    found = real_number(given)

    assert found == value
    assert type(found) is float


@pytest.mark.parametrize(
    "given", [True, np.bool_(True), "3", None, 2j, [1], np.array([1.0])]
)
def test_what_is_no_number_is_none(given: object) -> None:
    assert real_number(given) is None
    assert whole_number(given) is None


def test_not_a_number_stays_so() -> None:
    assert math.isnan(real_number(Decimal("sNaN")) or 0.0)
    assert math.isnan(real_number(np.float32("nan")) or 0.0)


@pytest.mark.parametrize("given", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_a_whole_number_is_an_int(given: object) -> None:
    found = whole_number(given)

    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize("given", [3.0, np.float64(3), Decimal(3), Fraction(3, 2)])
def test_a_number_with_a_point_is_no_whole_number(given: object) -> None:
    assert whole_number(given) is None


@pytest.mark.parametrize(
    ("given", "share"),
    [(0.2, 0.2), ("20%", 0.2), (" 7 % ", 0.07), ("0.2", None), ("x%", None)],
)
def test_a_share_is_a_number_or_percent(given: object, share: float | None) -> None:
    assert share_number(given) == share


@pytest.mark.parametrize(
    ("price", "currency"),
    [
        ("0.35 EUR", "EUR"), ("$0.35", "$"), ("0,35 €", "€"), ("USD 1.2", "USD"),
        ("0.35 EUR per hour", "EUR"), ("0.35", None), (0.35, None), ("cheap", None),
    ],
)  # fmt: skip
def test_a_currency_in_a_price_is_found(price: object, currency: str | None) -> None:
    assert currency_in(price) == currency
