"""Rounds of a closed set: what was kept, and how far off the mean of them may be."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.paired_rounds import (
    errors_of_the_truth,
    measured_retention,
    retention_variance,
)


def test_retention_is_of_all_rounds_together() -> None:
    assert measured_retention([100, 50], [50, 40]) == pytest.approx(0.6)


def test_two_rounds_are_off_by_half_of_what_they_are_apart() -> None:
    assert errors_of_the_truth([100, 50], [50, 40]) == pytest.approx([0.15])


@pytest.mark.parametrize("num_rounds", [3, 4, 5, 8])
def test_sizes_are_those_of_the_error_of_the_mean(num_rounds: int) -> None:
    draw = np.random.default_rng(num_rounds)
    sizes, errors, variances = [], [], []
    for index in range(3000):
        alone = draw.normal(100, 4, num_rounds)
        together = draw.normal(60, 3, num_rounds)
        sizes.append(errors_of_the_truth(alone, together, seed=index))
        errors.append(abs(measured_retention(alone, together) - 0.6))
        variances.append(retention_variance(alone, together))
    found = np.concatenate(sizes)
    assert found.mean() == pytest.approx(np.mean(errors), rel=0.05)
    assert np.percentile(found, 95) == pytest.approx(
        np.percentile(errors, 95), rel=0.05
    )
    assert np.sqrt(np.mean(variances) / num_rounds) == pytest.approx(
        np.std(errors + [-one for one in errors]), rel=0.05
    )


def test_one_round_tells_nothing() -> None:
    with pytest.raises(ValueError, match="one round"):
        errors_of_the_truth([100], [50])
    with pytest.raises(ValueError, match="one round"):
        retention_variance([100], [50])
