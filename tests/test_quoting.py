"""Messages repeat what others wrote shortly, in one line, and harmlessly."""

from __future__ import annotations

import pytest

from gpupack.errors import InvalidInputError
from gpupack.quoting import (
    MAX_MESSAGE,
    MAX_QUOTED,
    listed,
    number_ranges,
    quoted,
    quoted_all,
)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 200_000,
        ["x" * 1000] * 1000,
        {"x" * 1000: "y" * 1000},
        10**4000,
        b"x" * 200_000,
    ],
)
def test_a_long_value_is_shortened(value: object) -> None:
    assert len(quoted(value)) <= 2 * MAX_QUOTED


def test_a_number_that_python_does_not_write_is_told_by_its_size() -> None:
    assert quoted(10**5000) == "a whole number of 16,610 bits"


def test_the_middle_is_left_out() -> None:
    shown = quoted("a" * 1000 + "b" * 1000)

    assert shown.startswith("'aaa")
    assert "…" in shown
    assert shown.endswith("bbb'")


def test_a_short_value_is_shown_as_it_is() -> None:
    assert quoted("resnet 50") == "'resnet 50'"
    assert quoted(2.5) == "2.5"


def test_what_a_terminal_would_obey_is_escaped() -> None:
    shown = quoted("\x1b[31mred\n\u202eright to left")

    assert shown.isprintable()
    assert "\\x1b[31mred\\n\\u202e" in shown


def test_a_long_list_says_how_many_more_there_are() -> None:
    names = [f"model {index}" for index in range(1000)]

    assert quoted_all(names).endswith("'model 19' and 980 more")
    assert listed(names).endswith("model 19 and 980 more")
    assert quoted_all(["a", "b"]) == "'a', 'b'"


def test_no_message_is_endless() -> None:
    assert len(str(InvalidInputError("x" * 1_000_000))) == MAX_MESSAGE


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ([], ""),
        ([range(3, 4)], "3"),
        ([range(2), range(2, 7), range(9, 10)], "0–6, 9"),
        (
            [range(n, n + 1) for n in range(0, 22, 2)],
            "0, 2, 4, 6, 8, 10, 12, 14 and 3 more",
        ),
    ],
)
def test_numbers_that_follow_each_other_are_told_as_a_range(
    ranges: list[range], told: str
) -> None:
    assert number_ranges(ranges) == told
