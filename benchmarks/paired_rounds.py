"""What rounds of a closed set say: each with every model alone and all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NUM_SPLITS = 40
"""Of many rounds, into halves that are held against each other."""


def measured_retention(alone: Sequence[float], together: Sequence[float]) -> float:
    """Return a model's rate with the others ÷ alone, over all rounds."""
    return sum(together) / sum(alone)


def retention_variance(alone: Sequence[float], together: Sequence[float]) -> float:
    """Return the variance of one round's retention around that of all.

    Of a ratio of means (Cochran, "Sampling Techniques", 1977, 6.4): a round in which
    little was done counts for little.

    Raises:
        ValueError: There is but one round.
    """
    if len(alone) < 2:
        raise ValueError("one round does not tell how much they differ")
    kept = measured_retention(alone, together)
    apart = np.array(together) - kept * np.array(alone)
    return float((apart**2).sum() / (len(alone) - 1) / np.mean(alone) ** 2)


def errors_of_the_truth(
    alone: Sequence[float], together: Sequence[float], *, seed: int = 0
) -> NDArray[np.float64]:
    """Return sizes of the error that a prediction without any would be seen to have.

    Half of the difference between the means of two halves of the rounds has the
    deviation that the mean of all has, whatever that is and however few the rounds are;
    so its size is one such error. More than two rounds are split in many ways, which
    all have the same distribution; of an odd number one is left out in turn, and the
    difference is made smaller accordingly.

    Args:
        alone: Rates, round by round.
        together: Likewise.
        seed: Of the splits.

    Raises:
        ValueError: There is but one round.
    """
    num_rounds = len(alone)
    half = num_rounds // 2
    if half == 0:
        raise ValueError("one round does not tell how much they differ")
    kept = np.array(together) / np.array(alone)
    if num_rounds == 2:
        return np.abs(kept[:1] - kept[1:]) / 2
    draw = np.random.default_rng(seed)
    orders = np.array([draw.permutation(num_rounds) for _ in range(NUM_SPLITS)])
    apart = kept[orders[:, :half]].mean(1) - kept[orders[:, half : 2 * half]].mean(1)
    return np.abs(apart) / 2 * np.sqrt(2 * half / num_rounds)
