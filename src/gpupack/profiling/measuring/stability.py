"""When is a load point measured well enough? Pure rules over completed requests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.given_numbers import real_number
from gpupack.profiling.measuring.interval import confidence_ratio
from gpupack.quoting import quoted

if TYPE_CHECKING:
    import numpy.typing as npt

    Nanoseconds = npt.NDArray[np.int64]

_EARLY_STOPPING_CONFIDENCE = 0.99


class StoppingRuleName(StrEnum):
    """The rules that can be asked for by name."""

    CONFIDENCE = "confidence"
    """A confidence interval of the throughput is narrow enough (the default)."""
    THREE_WINDOWS = "three_windows"
    """perf_analyzer's: the last three windows differ by at most 10 %."""


@dataclass(frozen=True)
class Window:
    """A stretch of the measurement: how long, and how many requests ended in it."""

    duration_s: float
    num_requests: int


@dataclass(frozen=True)
class Verdict:
    """What a rule says about the requests so far.

    Attributes:
        is_done: Stop now.
        is_stable: The rule is met; False when only its time cap ended it.
        begin: Index of the first request that counts.
        why: In words, what was met or is missing.
        least_ci_ratio: The interval that may be reported is at least so wide.
    """

    is_done: bool
    is_stable: bool
    begin: int = 0
    why: str = ""
    least_ci_ratio: float = 0.0


class StoppingRule(Protocol):
    """Decides from the ends and latencies of requests whether to go on."""

    def decide(
        self, ends_ns: Nanoseconds, latencies_ns: Nanoseconds, elapsed_s: float
    ) -> Verdict:
        """Judge the requests that ended since the measurement began, in order."""
        ...


def requests_for_percentile(percentile: float) -> int:
    """Return how many requests a latency percentile needs to be worth reporting.

    The least n for which, with 99 % confidence, an estimate with one value above it is
    not below the true percentile: ``P(Binomial(n, 1 - p) ≤ 1) ≤ 0.01``. MLPerf's
    LoadGen uses the same bound for early stopping: 662 for a p99, 64 for a p90.
    """
    p = (real_number(percentile) or 0.0) / 100
    if not 0 < p < 1:
        raise InvalidInputError(
            f"a percentile is above 0 and below 100, got {quoted(percentile)}"
        )
    allowed = 1 - _EARLY_STOPPING_CONFIDENCE
    num_requests = 1
    while p**num_requests + num_requests * (1 - p) * p ** (num_requests - 1) > allowed:
        num_requests += 1
    return num_requests


def cut_windows(ends_ns: Nanoseconds, num_windows: int) -> tuple[Window, ...]:
    """Cut the requests into windows of equal count; the raw counts of a record."""
    num_intervals = len(ends_ns) - 1
    if num_intervals < 1:
        return ()
    edges = np.linspace(0, num_intervals, min(num_windows, num_intervals) + 1)
    indices = np.unique(edges.round().astype(np.int64))
    return tuple(
        Window(
            duration_s=float(ends_ns[end] - ends_ns[begin]) / 1e9,
            num_requests=int(end - begin),
        )
        for begin, end in itertools.pairwise(indices)
    )


@dataclass(frozen=True)
class ConfidenceRule:
    """Stop when the throughput's confidence interval is narrow enough.

    A sequential interval of fixed width: measured until the estimated half-width is at
    most the one asked for, and reported with the width *asked for*. The estimate itself
    would promise too much: it is the one that was small enough to stop at.

    Attributes:
        half_width_ratio: Half-width asked for, as a share of the throughput.
        percentile: The latency percentile that is reported; sets a floor of requests.
        min_duration_s: Measure at least so long.
        max_duration_s: The time cap.
        concurrency: Requests in flight.

    References:
        Chow and Robbins, "On the asymptotic theory of fixed-width sequential confidence
        intervals for the mean", Annals of Mathematical Statistics 36, 1965.
    """

    half_width_ratio: float = 0.05
    percentile: float = 95.0
    min_duration_s: float = 0.5
    max_duration_s: float = 10.0
    concurrency: int = 1

    @property
    def num_required(self) -> int:
        """Requests that the percentile needs."""
        return requests_for_percentile(self.percentile)

    def decide(
        self, ends_ns: Nanoseconds, latencies_ns: Nanoseconds, elapsed_s: float
    ) -> Verdict:
        """See ``StoppingRule``."""
        ratio = confidence_ratio(ends_ns, concurrency=self.concurrency)
        is_narrow = ratio is not None and ratio <= self.half_width_ratio
        has_enough = len(ends_ns) > self.num_required
        width = "none yet" if ratio is None else f"±{100 * ratio:.1f} %"
        is_capped = elapsed_s >= self.max_duration_s
        is_met = elapsed_s >= self.min_duration_s and is_narrow and has_enough
        return Verdict(
            is_done=is_met or is_capped,
            # Too few requests until the cap spoil the percentile, not the throughput.
            is_stable=is_met or (is_capped and is_narrow),
            why=(
                f"{len(ends_ns)} requests, {self.num_required} wanted for "
                f"p{self.percentile:g}; confidence interval {width}, "
                f"±{100 * self.half_width_ratio:g} % wanted"
            ),
            least_ci_ratio=self.half_width_ratio if is_narrow else 0.0,
        )


@dataclass(frozen=True)
class OpenLoopRule:
    """Stop when there are requests enough for the percentile, sent at a given rate.

    How fast the server is, is not asked here, so there is nothing to settle: whether it
    answers what it is sent is for the caller to say, who knows what was sent.

    Attributes:
        percentile: The latency percentile that is reported; sets a floor of requests.
        min_duration_s: Measure at least so long.
        max_duration_s: The time cap.
        spare: So many times the requests needed, because those that queue up say less.
    """

    percentile: float = 95.0
    min_duration_s: float = 2.0
    max_duration_s: float = 10.0
    spare: float = 4.0

    @property
    def num_required(self) -> int:
        """Requests that the percentile needs."""
        return requests_for_percentile(self.percentile)

    def decide(
        self, ends_ns: Nanoseconds, latencies_ns: Nanoseconds, elapsed_s: float
    ) -> Verdict:
        """See ``StoppingRule``."""
        has_enough = len(ends_ns) >= self.spare * self.num_required
        return Verdict(
            is_done=elapsed_s >= self.max_duration_s
            or (has_enough and elapsed_s >= self.min_duration_s),
            is_stable=True,
            why=(
                f"{len(ends_ns)} requests, {self.num_required} wanted for "
                f"p{self.percentile:g}"
            ),
        )


@dataclass(frozen=True)
class BlockRule:
    """Stop after a short time, once a few requests ended: one block of several.

    How well a throughput is known is then for the blocks together to say.

    Attributes:
        num_requests: So many are to end.
        min_duration_s: Measure at least so long.
        max_duration_s: The time cap.
    """

    num_requests: int = 20
    min_duration_s: float = 0.5
    max_duration_s: float = 5.0

    def decide(
        self, ends_ns: Nanoseconds, latencies_ns: Nanoseconds, elapsed_s: float
    ) -> Verdict:
        """See ``StoppingRule``."""
        has_enough = len(ends_ns) >= self.num_requests
        return Verdict(
            is_done=elapsed_s >= self.max_duration_s
            or (has_enough and elapsed_s >= self.min_duration_s),
            is_stable=True,
            why=f"{len(ends_ns)} requests in {elapsed_s:.1f} s",
        )


@dataclass(frozen=True)
class ThreeWindowRule:
    """perf_analyzer's: the last three windows agree within 10 %.

    Attributes:
        window_s: Length of a window; ignored when ``window_requests`` is given.
        window_requests: Requests per window instead.
        max_trials: Give up after so many windows.
        limit_ratio: Largest max ÷ min of throughput, and of mean latency.
    """

    window_s: float = 5.0
    window_requests: int | None = None
    max_trials: int = 10
    limit_ratio: float = 1.10

    def decide(
        self, ends_ns: Nanoseconds, latencies_ns: Nanoseconds, elapsed_s: float
    ) -> Verdict:
        """See ``StoppingRule``."""
        edges = self._edges(ends_ns)
        num_windows = len(edges) - 1
        for trial in range(3, min(num_windows, self.max_trials) + 1):
            last = edges[trial - 3 : trial + 1]
            if self._agree(ends_ns, latencies_ns, last):
                return Verdict(True, True, int(last[0]), f"window {trial} settled it")
        if num_windows >= self.max_trials:
            begin = int(edges[self.max_trials - 3])
            return Verdict(True, False, begin, f"not settled in {self.max_trials}")
        return Verdict(False, False, 0, f"{num_windows} windows so far")

    def _edges(self, ends_ns: Nanoseconds) -> npt.NDArray[np.int64]:
        if len(ends_ns) == 0:
            return np.zeros(1, dtype=np.int64)
        if self.window_requests is not None:
            return np.arange(0, len(ends_ns), self.window_requests, dtype=np.int64)
        step = int(self.window_s * 1e9)
        times = np.arange(ends_ns[0], ends_ns[-1] + 1, step, dtype=np.int64)
        return np.searchsorted(ends_ns, times).astype(np.int64)

    def _agree(
        self,
        ends_ns: Nanoseconds,
        latencies_ns: Nanoseconds,
        edges: npt.NDArray[np.int64],
    ) -> bool:
        rates, latencies = [], []
        for begin, end in itertools.pairwise(edges):
            if end <= begin or ends_ns[end] == ends_ns[begin]:
                return False
            rates.append((end - begin) / (ends_ns[end] - ends_ns[begin]))
            latencies.append(float(latencies_ns[begin + 1 : end + 1].mean()))
        return bool(
            max(rates) <= self.limit_ratio * min(rates)
            and max(latencies) <= self.limit_ratio * min(latencies)
        )


def rule_by_name(name: str) -> type[ConfidenceRule] | type[ThreeWindowRule]:
    """Return the rule that a name stands for.

    Raises:
        UnknownNameError: No rule has that name.
    """
    rules: dict[str, type[ConfidenceRule] | type[ThreeWindowRule]] = {
        StoppingRuleName.CONFIDENCE: ConfidenceRule,
        StoppingRuleName.THREE_WINDOWS: ThreeWindowRule,
    }
    if not isinstance(name, str) or name not in rules:
        raise UnknownNameError(
            f"no stopping rule {quoted(name)}; there are {', '.join(sorted(rules))}"
        )
    return rules[name]
