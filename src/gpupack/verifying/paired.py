"""What rounds of blocks say: intervals of a rate, and of a ratio of two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from gpupack.profiling import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.colocation import CoLocatedModel

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % confidence interval.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """The larger of the two sides."""
        return max(self.high - self.value, self.value - self.low)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the mean of blocks' rates with Student's interval; None of fewer than two.

    Blocks are seconds apart, so that what is slow about a machine's speed is in their
    spread, as it is not in the spread within one of them.
    """
    if len(values) < 2:
        return None
    center = fmean(values)
    half = _quantile(len(values)) * stdev(values) / math.sqrt(len(values))
    return Interval(center, lower_end(center, half), center + half)


def lower_end(rate: float, half_width: float) -> float:
    """Return the lower end of the interval of a rate, which cannot be negative.

    It is that of the logarithm: two blocks that differ by a fifth, whose interval is as
    wide as their mean, do not leave open whether anything was served at all.
    """
    return rate * math.exp(-half_width / rate) if rate > 0 else 0.0


def ratio_interval(
    pairs: Sequence[tuple[float, float]], num_requests: int = 0
) -> Interval | None:
    """Return the ratio of two rates that were measured in pairs, one in each round.

    The ratio estimator of sampling theory: sum over sum, whose error is that of the
    residuals ``top - ratio * bottom``; what moves both alike within a round, such as a
    host that is slow for a while, is not in them.

    Args:
        pairs: Top and bottom of each round.
        num_requests: Counted in all: the interval is at least two of them wide.

    Returns:
        None of fewer than two pairs, or where the bottom is 0.

    References:
        Cochran, "Sampling Techniques", 1977, chapter 6.
    """
    bottom = fmean(one for _, one in pairs) if pairs else 0.0
    if len(pairs) < 2 or bottom <= 0:
        return None
    ratio = fmean(top for top, _ in pairs) / bottom
    residuals = [top - ratio * below for top, below in pairs]
    half = _quantile(len(pairs)) * stdev(residuals) / math.sqrt(len(pairs)) / bottom
    if num_requests:
        half = max(half, 2 * ratio / num_requests)
    return Interval(ratio, max(0.0, ratio - half), ratio + half)


def unpaired_ratio(tops: Sequence[float], bottoms: Sequence[float]) -> Interval | None:
    """Return the ratio of two rates of which none belongs to one of the other's.

    None where either has fewer than two blocks, or the bottom is 0.
    """
    top, bottom = mean_interval(tops), mean_interval(bottoms)
    if top is None or bottom is None or bottom.value <= 0:
        return None
    ratio = top.value / bottom.value
    half = math.hypot(top.half_width, ratio * bottom.half_width) / bottom.value
    return Interval(ratio, max(0.0, ratio - half), ratio + half)


def retention_interval(
    alone: CoLocatedModel, beside: CoLocatedModel
) -> Interval | None:
    """Return what a model keeps beside its neighbors, by the rounds of both.

    None where there were fewer than two rounds, or it reached nothing alone.
    """
    if alone is beside:
        return Interval(1.0, 1.0, 1.0)
    if alone.offered_infer_per_sec is not None and alone.throughput_infer_per_sec:
        # What is sent is known, and chance is taken off already.
        kept = mean_interval([one.throughput_infer_per_sec for one in beside.rounds])
        rate = alone.throughput_infer_per_sec
        return kept and Interval(kept.value / rate, kept.low / rate, kept.high / rate)
    tops, bottoms = _by_round(beside), _by_round(alone)
    pairs = [(top, bottoms[index]) for index, top in tops.items() if index in bottoms]
    if len(pairs) < 2:
        return unpaired_ratio(
            [one.throughput_infer_per_sec for one in beside.rounds],
            [one.throughput_infer_per_sec for one in alone.rounds],
        )
    return ratio_interval(
        pairs,
        num_requests=min(
            sum(one.num_requests for one in beside.rounds),
            sum(one.num_requests for one in alone.rounds),
        ),
    )


def _by_round(model: CoLocatedModel) -> dict[int, float]:
    """Return the mean rate of each round, which may have several blocks of a kind."""
    found: dict[int, list[float]] = {}
    for one in model.rounds:
        found.setdefault(one.round_index, []).append(one.throughput_infer_per_sec)
    return {index: fmean(rates) for index, rates in found.items()}


def _quantile(count: int) -> float:
    return t_quantile((1 + CONFIDENCE) / 2, count - 1)
