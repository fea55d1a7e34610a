"""How well is a throughput known? Intervals for requests that are not independent."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Nanoseconds = npt.NDArray[np.int64]

CONFIDENCE = 0.95
NUM_BATCHES = 16
PERSISTENCE = 0.8
"""Hurst exponent assumed of a machine's speed: 0.5 has no memory, 1 drifts for ever.

``docs/explanation/throughput_intervals.md`` has what was seen.
"""


def throughput_requests_per_s(ends_ns: Nanoseconds) -> float | None:
    """Return requests per second from the first to the last end; None under two."""
    if len(ends_ns) < 2 or ends_ns[-1] == ends_ns[0]:
        return None
    return float((len(ends_ns) - 1) / ((ends_ns[-1] - ends_ns[0]) / 1e9))


def confidence_ratio(
    ends_ns: Nanoseconds,
    *,
    concurrency: int = 1,
    confidence: float = CONFIDENCE,
    persistence: float = PERSISTENCE,
) -> float | None:
    """Return the half-width of the throughput's confidence interval ÷ throughput.

    The interval is meant for what a measurement of a minute would show, not only for
    the seconds that were measured. The requests are cut into 16 batches of equal count
    (of whole rounds of the concurrency where they can be, because a server that batches
    answers in bursts), and the mean time per request of each batch is one observation.
    With s, their standard deviation ÷ their mean, the half-width is

        ``t(k - 1) · s · sqrt((k - 1) / (k · (k^(2 - 2H) - 1)))``

    with k batches and H = ``persistence``. H = 1/2 is the textbook's ``t · s / √k`` for
    independent batches. The speed of a machine has a longer memory (neighbours on the
    host, clocks, where the scheduler puts threads): its mean over T seconds varies with
    ``T^(2H - 2)`` instead of ``1 / T``, and batches of one measurement, which share
    what is slower than the measurement, spread less than batches of different ones.

    Returns:
        None when there are fewer requests than two for each batch.

    References:
        Law, "Simulation Modeling and Analysis": batch means. Beran, "Statistics for
        Long-Memory Processes", 1994, chapters 1 and 8: variance of the mean under long
        memory, and why the sample variance is too small.
    """
    size = (len(ends_ns) - 1) // NUM_BATCHES
    if size < 2:
        return None
    if size >= concurrency:
        size -= size % concurrency
    edges = ends_ns[::-1][::size][::-1]  # whole batches, up to the last request
    means = np.diff(edges) / size
    center = float(means.mean())
    if center <= 0:
        return None
    k = len(means)
    spread = float(means.std(ddof=1)) / center
    shrinkage = math.sqrt((k - 1) / (k * (k ** (2 - 2 * persistence) - 1)))
    return t_quantile((1 + confidence) / 2, k - 1) * spread * shrinkage


def t_quantile(probability: float, num_degrees: int) -> float:
    """Return a quantile of Student's t distribution.

    Exact for one and two degrees of freedom; from three on by an expansion around the
    normal quantile (Hill, "Algorithm 396", Communications of the ACM 13(10), 1970),
    with an error below 0.1 % at 97.5 %.

    Args:
        probability: Above 1/2 and below 1.
        num_degrees: At least 1.
    """
    tail = 2 * (1 - probability)
    n = num_degrees
    if n == 1:
        return 1 / math.tan(tail * math.pi / 2)
    if n == 2:
        return math.sqrt(2 / (tail * (2 - tail)) - 2)
    a = 1 / (n - 0.5)
    b = (48 / a) / a
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * tail) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tail / 2)
        y = x * x
        if n < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = (
            (
                1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3)
                + 0.5 / (n + 4)
            )
            * y
            - 1
        ) * (n + 1) / (n + 2) + 1 / y
    return math.sqrt(n * y)
