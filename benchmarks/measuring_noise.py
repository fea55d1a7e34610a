"""How much of an error is the noise of what it is held against."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Group = tuple[NDArray[np.float64], NDArray[np.float64]]

NUM_BLOCKS = 20
NUM_DRAWS = 300
_NUM_LEVELS = 99


def percentile_beyond_noise(groups: Sequence[Group], percentile: float) -> float:
    """Return the percentile of errors' size that is left if nothing is noise.

    The error of a prediction is taken to be normal, with the mean of all errors, and
    independent of the noise, whose sizes are as they were seen and whose signs are
    either. The deviation is the one with which both together have the percentile that
    the errors have; with none, what is left is their mean.

    Args:
        groups: Errors, and sizes of the noise of what they are errors from; the two
            need not be as many. Every error weighs the same.
        percentile: Of the errors' sizes, in percent.
    """
    errors = np.concatenate([one for one, _ in groups])
    seen = float(np.percentile(np.abs(errors), percentile))
    levels = (np.arange(_NUM_LEVELS) + 0.5) / _NUM_LEVELS
    normal = np.array([NormalDist().inv_cdf(one) for one in levels])
    mean = float(errors.mean())

    def sizes(deviation: float, *, with_noise: bool) -> float:
        values, weights = [], []
        for own, noise in groups:
            signed = np.concatenate([noise, -noise]) if with_noise else np.zeros(1)
            values.append(np.abs(mean + deviation * normal + signed[:, None]).ravel())
            weights.append(np.full(values[-1].size, len(own) / values[-1].size))
        return float(
            np.percentile(
                np.concatenate(values),
                percentile,
                weights=np.concatenate(weights),
                method="inverted_cdf",
            )
        )

    low, high = 0.0, 2 * seen
    if sizes(low, with_noise=True) >= seen:
        return abs(mean)
    for _ in range(40):
        middle = (low + high) / 2
        if sizes(middle, with_noise=True) < seen:
            low = middle
        else:
            high = middle
    return sizes(high, with_noise=False)


def drawn_again(
    values: NDArray[np.float64], percentile: float, seed: int
) -> NDArray[np.float64]:
    """Return a percentile as other measurements of the same might have read it.

    By a bootstrap of blocks in time, since requests that follow each other wait in the
    same queue.

    Args:
        values: In order of time.
        percentile: Which is read, in percent.
        seed: Of the draws.
    """
    blocks = np.array_split(values, NUM_BLOCKS)
    draw = np.random.default_rng(seed)
    return np.array(
        [
            np.percentile(
                np.concatenate(
                    [blocks[at] for at in draw.integers(0, NUM_BLOCKS, NUM_BLOCKS)]
                ),
                percentile,
            )
            for _ in range(NUM_DRAWS)
        ]
    )
