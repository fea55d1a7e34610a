"""How well, and for how long at most, a load point is measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import real_number, whole_number
from gpupack.profiling.measuring.stability import (
    ConfidenceRule,
    OpenLoopRule,
    StoppingRule,
    StoppingRuleName,
    ThreeWindowRule,
    requests_for_percentile,
    rule_by_name,
)
from gpupack.quoting import quoted
from gpupack.records.gpu import DeviceKind


@dataclass(frozen=True)
class MeasureOptions:
    """How well, and for how long at most, a load point is measured.

    Attributes:
        stopping_rule: ``confidence``, or perf_analyzer's ``three_windows``.
        half_width_ratio: For ``confidence``: half-width asked for, of the 95 % interval
            that ``interval.confidence_ratio`` describes, ÷ throughput.
        percentile: The latency percentile that must be well founded.
        min_duration_s: Measure at least so long. None: 0.5 s on a host, 2 s on a GPU,
            whose utilization counters are renewed once a second.
        max_duration_s: The time cap.
        window_s: For ``three_windows``: length of a window.
        window_requests: For ``three_windows``: requests per window instead.
        warm_up_s: Drive the model so long first. None: 1 s on a GPU, whose clocks rise
            under load; on a host 0.1 s, or two rounds if it was driven just before.
        request_timeout_s: How long one request may take.
    """

    stopping_rule: str = StoppingRuleName.CONFIDENCE
    half_width_ratio: float = 0.05
    percentile: float = 95.0
    min_duration_s: float | None = None
    max_duration_s: float = 10.0
    window_s: float = 5.0
    window_requests: int | None = None
    warm_up_s: float | None = None
    request_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        # Numbers of numpy and others become Python's, which records can hold.
        for one in fields(self):
            value = getattr(self, one.name)
            number = whole_number(value)
            found = real_number(value) if number is None else number
            if found is not None:
                object.__setattr__(self, one.name, found)

    def check(self) -> None:
        """Refuse values that no measurement can have.

        Raises:
            InvalidInputError: A number out of its range.
            UnknownNameError: There is no rule of that name.
        """
        rule_by_name(self.stopping_rule)
        requests_for_percentile(self.percentile)
        for name, value in (
            ("half_width_ratio", self.half_width_ratio),
            ("max_duration_s", self.max_duration_s),
            ("window_s", self.window_s),
            ("request_timeout_s", self.request_timeout_s),
        ):
            if not 0 < (real_number(value) or 0.0) < math.inf:
                raise InvalidInputError(
                    f"{name} is a number above 0, got {quoted(value)}"
                )
        for name, optional in (
            ("min_duration_s", self.min_duration_s),
            ("warm_up_s", self.warm_up_s),
        ):
            number = real_number(optional)
            if optional is not None and not (
                number is not None and 0 <= number < math.inf
            ):
                raise InvalidInputError(
                    f"{name} is a number from 0, got {quoted(optional)}"
                )
        if (
            self.min_duration_s is not None
            and self.min_duration_s > self.max_duration_s
        ):
            raise InvalidInputError(
                f"measuring for at least {self.min_duration_s:g} s and at most "
                f"{self.max_duration_s:g} s contradict each other; lower the first "
                "(min_duration_s) or raise the second (max_duration_s)"
            )
        if (
            self.window_requests is not None
            and (whole_number(self.window_requests) or 0) < 2
        ):
            raise InvalidInputError(
                f"a window of {quoted(self.window_requests)} requests has no "
                "throughput; give 2 or more, such as 50"
            )

    def as_text(self) -> dict[str, str]:
        """Return the options that are set, by name, as records keep them."""
        return {
            name: str(value)
            for name, value in asdict(self).items()
            if value is not None
        }

    def rule(
        self, *, concurrency: int, kind: DeviceKind, is_open_loop: bool = False
    ) -> StoppingRule:
        """Return the rule for one model.

        Raises:
            UnknownNameError: There is no rule of that name.
        """
        chosen = rule_by_name(self.stopping_rule)
        if is_open_loop:
            least_s = self.min_duration_s
            return OpenLoopRule(
                percentile=self.percentile,
                min_duration_s=min(
                    2.0 if least_s is None else least_s, self.max_duration_s
                ),
                max_duration_s=self.max_duration_s,
            )
        if chosen is ThreeWindowRule:
            return ThreeWindowRule(
                window_s=self.window_s, window_requests=self.window_requests
            )
        min_duration_s = self.min_duration_s
        if min_duration_s is None:
            min_duration_s = 2.0 if kind is DeviceKind.GPU else 0.5
        return ConfidenceRule(
            half_width_ratio=self.half_width_ratio,
            percentile=self.percentile,
            min_duration_s=min(min_duration_s, self.max_duration_s),
            max_duration_s=self.max_duration_s,
            concurrency=concurrency,
        )

    def warm_up_duration_s(self, kind: DeviceKind, *, is_warm: bool) -> float:
        """Return how long to drive a model before measuring."""
        if self.warm_up_s is not None:
            return self.warm_up_s
        if kind is DeviceKind.GPU:
            return 1.0
        return 0.0 if is_warm else 0.1
