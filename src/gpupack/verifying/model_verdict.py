"""Judge one model instance: kept, or broken, and by what; or not known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gpupack.profiling import requests_for_percentile
from gpupack.records.running.verification import ModelVerdict
from gpupack.units import in_digits
from gpupack.verifying.paired import Interval, lower_end, retention_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.colocation import CoLocatedModel
    from gpupack.records.placement import Assignment
    from gpupack.records.profile import LatencyPercentile, ProfileRecord


def promised_infer_per_sec(assignment: Assignment) -> float | None:
    """Return the throughput that was promised of an instance, None if none was."""
    for promised in (
        assignment.served_infer_per_sec,
        assignment.predicted_infer_per_sec,
    ):
        if promised is not None:
            return promised
    return assignment.throughput_infer_per_sec


@dataclass(frozen=True)
class Asked:
    """What one model instance is judged by.

    Attributes:
        min_retention: What was asked to be kept; None if nothing was.
        tolerance: Share of a throughput, and points of retention, that may be missing.
        percentile: Of the latency that is promised, None if none is.
        profiled: The record that the promise was made of, None if there is none.
        measured_s: How long was measured.
    """

    min_retention: float | None
    tolerance: float
    percentile: float | None
    profiled: ProfileRecord | None
    measured_s: float | None


def judge_model(
    assignment: Assignment, alone: Reading, beside: Reading, asked: Asked
) -> ModelVerdict:
    """Return the verdict on one instance; see ``judge_gpu``."""
    promised = promised_infer_per_sec(assignment)
    kept = _kept(alone, beside)
    profile = asked.profiled
    profiled_low = None
    if profile is not None and profile.between_loads is not None:
        profiled_low = profile.between_loads.low_infer_per_sec
    broken = None
    is_slower_alone = False
    doubts: list[_Doubt] = []
    if promised is not None:
        least = (1 - asked.tolerance) * promised
        if (
            assignment.served_infer_per_sec is None
            and profiled_low is not None
            and assignment.throughput_infer_per_sec
        ):
            # Traffic is wanted whatever load there is; a throughput is what was seen.
            least *= min(1.0, profiled_low / assignment.throughput_infer_per_sec)
        if beside.high < least:
            told = f"{beside} of {promised:.1f} promised"
            is_slower_alone, why = _find_cause(assignment, alone, kept, asked)
            broken = f"{told}: {why}" if why else told
        elif beside.low < least:
            doubts.append(
                _Doubt(
                    f"it reaches {beside.low:.1f} to {beside.high:.1f} infer/sec, and "
                    f"{least:.1f} is the least that keeps the promise",
                    beside.half_ratio,
                )
            )
    if asked.min_retention is not None and broken is None:
        least = asked.min_retention - asked.tolerance
        if kept.high < least:
            broken = (
                f"kept {kept.value:.2f} of its throughput alone, asked for "
                f"{asked.min_retention:g}"
            )
        elif kept.low < least:
            doubts.append(
                _Doubt(
                    f"it keeps {kept.low:.2f} to {kept.high:.2f} of its throughput "
                    f"alone, and {least:.2f} is the least that keeps the promise",
                    kept.half_width,
                )
            )
    doubt = doubt_ratio = None
    if doubts and broken is None:
        doubt = _why_unknown(alone, beside, doubts, asked.measured_s)
        doubt_ratio = max(one.half_width for one in doubts)
        doubt_ratio = doubt_ratio if math.isfinite(doubt_ratio) else None
    limit_ms = assignment.latency_limit_ms if asked.percentile is not None else None
    latency = None
    if asked.percentile is not None and limit_ms is not None and beside.model.open_loop:
        latency = _percentile_of(beside.model, asked.percentile)
        if broken is None:
            broken, latency_doubt = _judge_latency(
                beside.model, latency, asked.percentile, limit_ms
            )
            doubt = None if broken else doubt or latency_doubt
    has_rounds = bool(beside.model.rounds)
    return ModelVerdict(
        model_name=assignment.model_name,
        load_point=assignment.load_point,
        promised_infer_per_sec=promised,
        latency_limit_ms=limit_ms,
        latency=latency,
        is_slower_alone=is_slower_alone,
        alone_infer_per_sec=alone.model.throughput_infer_per_sec,
        together_infer_per_sec=beside.model.throughput_infer_per_sec,
        together_ci_ratio=beside.model.throughput_ci_ratio if has_rounds else None,
        predicted_retention=assignment.retention,
        min_retention=asked.min_retention,
        retention_low=kept.low if has_rounds and math.isfinite(kept.high) else None,
        retention_high=kept.high if has_rounds and math.isfinite(kept.high) else None,
        profiled_infer_per_sec=assignment.throughput_infer_per_sec,
        profiled_low_infer_per_sec=profiled_low,
        num_rounds=len({one.round_index for one in beside.model.rounds}) or None,
        measured_s=asked.measured_s,
        is_client_limited=beside.model.is_client_limited,
        broken=broken,
        not_judged=doubt,
        doubt_ratio=doubt_ratio if doubt is not None else None,
    )


def _kept(alone: Reading, beside: Reading) -> Interval:
    """Return what a model keeps beside its neighbors, with what is not known of it."""
    found = None
    if not (alone.model.is_client_limited or beside.model.is_client_limited):
        found = retention_interval(alone.model, beside.model)
    if found is not None:
        return found
    ratio = beside.rate / alone.rate if alone.rate else 1.0
    return Interval(
        ratio,
        0.0
        if math.isinf(alone.high)
        else beside.low / alone.high
        if alone.high
        else 0.0,
        beside.high / alone.low if alone.low else math.inf,
    )


def _find_cause(
    assignment: Assignment, alone: Reading, kept: Interval, asked: Asked
) -> tuple[bool, str]:
    """Return whether a model is slow by itself rather than for neighbors, and why.

    Of the two factors by which it does less than promised, its speed alone now ÷ when
    profiled and what it keeps ÷ what was predicted, the smaller one is the cause. What
    misses its traffic is slow by itself if it misses that alone.
    """
    profiled = assignment.throughput_infer_per_sec
    if profiled is None or not alone.rate:
        return False, ""
    wanted = assignment.served_infer_per_sec
    expected = profiled if wanted is None else min(profiled, wanted)
    predicted = assignment.retention if assignment.retention else 1.0
    alone_share = alone.rate / expected
    beside_share = kept.value / predicted
    keeps = f"beside its neighbors it keeps {kept.value:.2f} of that"
    if kept.high > kept.value and math.isfinite(kept.high):
        keeps += f" (±{kept.half_width:.2f})"
    keeps += f", {predicted:.2f} predicted"
    figures = f"alone it reaches {alone.rate:.1f} now, {profiled:.1f} when profiled"
    if wanted is not None and wanted < profiled:
        figures = (
            f"alone it answers {alone.rate:.1f} of the {wanted:.1f} that it is sent"
        )
    takes_no_more = beside_share >= 1 - asked.tolerance
    is_slow = alone_share < min(1.0, beside_share)
    if is_slow:
        if takes_no_more:
            keeps = "and its neighbors take no more than predicted"
        return True, f"{figures}, {keeps}"
    return False, f"{figures}, {keeps}"


class _Doubt(NamedTuple):
    """A promise that lies inside an interval: in words, and the half-width."""

    told: str
    half_width: float


def _why_unknown(
    alone: Reading,
    beside: Reading,
    doubts: Sequence[_Doubt],
    measured_s: float | None,
) -> str:
    """Return why promises cannot be judged."""
    for reading, where in ((beside, ""), (alone, " alone")):
        if reading.model.is_client_limited:
            sent = reading.model.open_loop
            figures = (
                ""
                if sent is None
                else f" ({sent.sent_requests_per_sec:,.1f} of "
                f"{sent.offered_requests_per_sec:,.1f} requests a second were sent)"
            )
            return f"its client was the limit{where}{figures}"
    widest = max(doubts, key=lambda one: one.half_width)
    if beside.model.rounds and measured_s is not None:
        width = (
            "" if math.isinf(widest.half_width) else f" within ±{widest.half_width:.1%}"
        )
        return f"not known{width} after {measured_s:.0f} s: {widest.told}"
    for reading, where in ((beside, ""), (alone, " alone")):
        if not reading.model.is_stable:
            return f"its measurement{where} never settled: {widest.told}"
    return widest.told


def _percentile_of(
    model: CoLocatedModel, percentile: float
) -> LatencyPercentile | None:
    for one in model.latency_percentiles:
        if one.percentile == percentile:
            return one
    return None


def _judge_latency(
    model: CoLocatedModel,
    latency: LatencyPercentile | None,
    percentile: float,
    limit_ms: float,
) -> tuple[str | None, str | None]:
    """Return how the limit was broken, or why that cannot be said; None if neither."""
    told = f"p{percentile:g}"
    sent = model.open_loop
    if latency is None:
        num_ended = sum(one.num_requests for one in model.rounds)
        return None, (
            f"{num_ended:,} requests ended, and a {told} needs "
            f"{requests_for_percentile(percentile):,} (limit {limit_ms:g} ms): measure "
            "longer (max_seconds)"
        )
    interval = f"{in_digits(latency.low_us / 1000, 3)} to " + (
        "no known end"
        if latency.high_us is None
        else f"{in_digits(latency.high_us / 1000, 3)} ms"
    )
    if latency.low_us > 1000 * limit_ms:
        if sent is not None and not sent.is_on_schedule:
            return None, f"its client was late, which the {told} holds"
        return (
            f"took {in_digits(latency.value_us / 1000, 3)} ms ({told}, {interval}), "
            f"{limit_ms:g} ms were promised"
        ), None
    if latency.high_us is None or latency.high_us > 1000 * limit_ms:
        return None, (
            f"its {told} is between {interval}, and {limit_ms:g} ms were promised: "
            "measure longer"
        )
    return None, None


@dataclass(frozen=True)
class Reading:
    """What one measurement says about one model's throughput.

    Attributes:
        model: As it was recorded.
        rate: The throughput, 0 where fewer than two requests ended.
        low: It is at least so much,
        high: and at most so much; infinite where the client was the limit.
    """

    model: CoLocatedModel
    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, model: CoLocatedModel, duration_s: float | None) -> Reading:
        """Return what a measurement of so many seconds says."""
        rate = model.throughput_infer_per_sec or 0.0
        half = 0.0
        if not model.is_stable or model.rounds:
            ratio = model.throughput_ci_ratio
            # Without an interval: the two requests that may have ended just outside.
            half = (
                2 * model.load_point.batch_size / (duration_s or math.inf)
                if ratio is None
                else ratio * rate
            )
        high = math.inf if model.is_client_limited else rate + half
        low = lower_end(rate, half) if model.rounds else max(0.0, rate - half)
        return cls(model, rate, low, high)

    @property
    def half_ratio(self) -> float:
        """Half of what the throughput may be ÷ throughput."""
        if not self.rate:
            return math.inf
        return max(self.high - self.rate, self.rate - self.low) / self.rate

    def __str__(self) -> str:
        most = "" if self.high == self.rate else "at most "
        return f"reached {most}{self.high:.1f} infer/sec"
