"""What may another load of a model reach? An interval from several loads."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from gpupack.profiling.measuring.interval import CONFIDENCE
from gpupack.records.profile import BetweenLoads

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPICAL_SPREAD = 0.02
"""Scale of the half-Cauchy prior of the deviation from load to load: half of the models
are taken to vary by less before anything was measured; its tail lets any loads speak
that do differ."""
_LEAST_DEVIATION = 0.005
"""Of a load's own reading: below it nothing is known so well."""
_SPREADS = [1e-4 * 10 ** (index / 30) for index in range(136)]
"""Up to 3, which is a factor of twenty from load to load."""
_NORMAL = NormalDist()


def spread_between_loads(
    throughputs: Sequence[float],
    ci_ratios: Sequence[float | None],
    *,
    allowed_ratio: float = 0.1,
) -> BetweenLoads:
    """Return the spread from load to load, and the interval of another load.

    A random-effects model of the logarithms: a load's true speed is normal around the
    model's, with an unknown deviation, and its reading is normal around that, with the
    deviation that its own interval says. The unknown deviation has a half-Cauchy prior
    (``TYPICAL_SPREAD``), the model's speed a flat one; the interval is that of the
    predictive distribution of the true speed of one further load. So it holds what
    varies within a load and what varies between them, is finite from two loads on, and
    narrows towards the loads' own spread as there are more.

    Args:
        throughputs: Of each load, above 0; at least two.
        ci_ratios: Half-width of each one's own 95 % interval ÷ throughput; None where
            too few requests ended for one, which then counts as 20 %.
        allowed_ratio: Loads that differ by no more are taken for alike.

    References:
        Gelman, "Prior distributions for variance parameters in hierarchical models",
        Bayesian Analysis 1(3), 2006; Röver, "Bayesian random-effects meta-analysis",
        Journal of Statistical Software 93(6), 2020.
    """
    quantile = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
    logs = [math.log(one) for one in throughputs]
    variances = [
        max(_LEAST_DEVIATION, (0.2 if ratio is None else ratio) / quantile) ** 2
        for ratio in ci_ratios
    ]
    parts = [_given(spread, logs, variances) for spread in _SPREADS]
    highest = max(one[0] for one in parts)
    weights = [math.exp(one[0] - highest) for one in parts]
    total = sum(weights)
    mixture = [
        (weight / total, NormalDist(center, deviation))
        for weight, (_, center, deviation) in zip(weights, parts, strict=True)
        if weight > 1e-9 * total
    ]
    spread = (
        sum(weight * one for weight, one in zip(weights, _SPREADS, strict=True)) / total
    )
    return BetweenLoads(
        spread_ratio=spread,
        low_infer_per_sec=math.exp(_quantile((1 - CONFIDENCE) / 2, mixture)),
        high_infer_per_sec=math.exp(_quantile((1 + CONFIDENCE) / 2, mixture)),
        do_differ=_do_differ(logs, variances, allowed_ratio),
    )


def _do_differ(
    logs: Sequence[float], variances: Sequence[float], allowed_ratio: float
) -> bool:
    """Return whether loads differ by more than chance and what is allowed.

    Cochran's Q of the logarithms against the 95 % quantile of chi-square, and the
    largest ÷ the smallest against ``1 + allowed_ratio``.
    """
    if math.exp(max(logs) - min(logs)) <= 1 + allowed_ratio:
        return False
    precisions = [1 / one for one in variances]
    center = sum(p * y for p, y in zip(precisions, logs, strict=True)) / sum(precisions)
    q = sum(p * (y - center) ** 2 for p, y in zip(precisions, logs, strict=True))
    return q > _chi_square_95(len(logs) - 1)


def _given(
    spread: float, logs: Sequence[float], variances: Sequence[float]
) -> tuple[float, float, float]:
    """Return, given the spread: log weight, center and deviation of another load."""
    precisions = [1 / (own + spread**2) for own in variances]
    total = sum(precisions)
    center = sum(p * y for p, y in zip(precisions, logs, strict=True)) / total
    # The grid is even in the logarithm of the spread.
    prior = math.log(spread / (1 + (spread / TYPICAL_SPREAD) ** 2))
    likelihood = 0.5 * (
        sum(math.log(p) for p in precisions)
        - math.log(total)
        - sum(p * (y - center) ** 2 for p, y in zip(precisions, logs, strict=True))
    )
    return prior + likelihood, center, math.sqrt(1 / total + spread**2)


def _quantile(probability: float, mixture: Sequence[tuple[float, NormalDist]]) -> float:
    low = min(one.mean - 12 * one.stdev for _, one in mixture)
    high = max(one.mean + 12 * one.stdev for _, one in mixture)
    for _ in range(50):
        middle = (low + high) / 2
        if sum(weight * one.cdf(middle) for weight, one in mixture) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _chi_square_95(num_degrees: int) -> float:
    """Return the 95 % quantile of chi-square (Wilson and Hilferty 1931; within 1 %)."""
    if num_degrees == 1:
        return 3.841
    share = 2 / (9 * num_degrees)
    return num_degrees * (1 - share + 1.6449 * math.sqrt(share)) ** 3
