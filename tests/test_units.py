"""Numbers with units, and how they are written for people."""

from __future__ import annotations

import pytest

from gpupack.units import counted_sum_if_known, in_digits, sum_if_known


@pytest.mark.parametrize(
    ("value", "num_digits", "text"),
    [
        (0.0, 3, "0"),
        (3.14159, 3, "3.14"),
        (999.6, 3, "1,000"),
        (1530.4, 3, "1,530"),
        (22_237.6, 4, "22,238"),
        (1e300, 4, "1e+300"),
        (372.66, 4, "372.7"),
    ],
)
def test_no_number_that_people_meet_is_a_power_of_ten(
    value: float, num_digits: int, text: str
) -> None:
    assert in_digits(value, num_digits) == text


def test_a_sum_of_which_one_part_is_unknown_is_unknown() -> None:
    assert sum_if_known([1, 2, 3]) == 6
    assert sum_if_known([1, None, 3]) is None
    assert counted_sum_if_known([(2, 1.5), (10, 0.1)]) == 4.0
    assert counted_sum_if_known([(2, 1.5), (0, None)]) is None
    assert counted_sum_if_known([]) == 0
