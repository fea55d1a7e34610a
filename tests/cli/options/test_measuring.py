"""What the options of measurements mean, one by one."""

from __future__ import annotations

import pytest

from gpupack.cli.options.measuring import measuring_options
from gpupack.errors import InvalidInputError


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("3%", 0.03),
        ("3", 0.03),
        ("0.03", 0.03),
        ("0.5%", 0.005),
        ("0.5", 0.5),
        ("1", 0.01),
        ("7", 0.07),
        ("99.5", 0.995),
    ],
)
def test_a_precision_is_the_same_for_points_and_for_rounds(
    text: str, share: float
) -> None:
    found = measuring_options(precision=text)
    assert found.precision == found.options.half_width_ratio == share
    assert found.is_bare_share == (text in ("0.03", "0.5"))


def test_a_precision_that_is_not_said_is_left_to_the_command() -> None:
    found = measuring_options()
    assert found.precision is None
    assert found.options.half_width_ratio == 0.05
    assert not found.is_bare_share


@pytest.mark.parametrize("text", ["0", "0%", "100", "100%", "x", "-3%", "nan", "inf"])
def test_a_precision_that_there_is_none_of_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=f"--precision {text}: give a number"):
        measuring_options(precision=text)
