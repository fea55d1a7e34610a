"""Judge one GPU: what the placement promised against what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.records.request import LatencyRule
from gpupack.records.running.verification import GpuVerification, ModelVerdict
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.records.colocation import CoLocatedModel, CoLocation
    from gpupack.records.placement import (
        Assignment,
        GpuPlacement,
        PlacementRecord,
    )
    from gpupack.records.profile import LatencyPercentile

MEMORY_TOLERANCE = 0.03
"""Share by which measured memory may exceed the prediction."""


def driven_assignments(gpu: GpuPlacement) -> tuple[Assignment, ...]:
    """Return the instances that are sent requests: not the spares without traffic."""
    return tuple(
        one
        for one in gpu.assignments
        if one.served_infer_per_sec is None or one.served_infer_per_sec > 0
    )


def judge_gpu(
    placement: PlacementRecord,
    gpu: GpuPlacement,
    measurements: Sequence[CoLocation],
    *,
    digest: str,
    tolerance: float,
    warnings: Sequence[str] = (),
    failures: Mapping[str, str] | None = None,
) -> GpuVerification:
    """Return the verdict on one GPU.

    A promise is broken when a model reaches less than ``1 − tolerance`` of its promised
    throughput (the traffic planned for it, where it was placed for a demand), when it
    keeps more than ``tolerance`` points less than the retention asked for, or when more
    than ``MEMORY_TOLERANCE`` more memory was used than predicted.

    A measurement that never settled breaks a promise only if the upper end of its
    confidence interval does, and keeps one only if the lower end does; between the two
    the model is not judged, which is a warning. Where the client was the limit the
    throughput is at least what was measured.

    Args:
        placement: Says what was asked for.
        gpu: What was promised.
        measurements: Every driven instance alone, then all together; one alone is both.
            None when a model failed.
        digest: Identifies what was placed.
        tolerance: See above.
        warnings: Kept in the record.
        failures: By model name, how it failed to load or to answer.
    """
    if failures or not measurements:
        return GpuVerification(
            placed=digest,
            gpu_index=gpu.gpu_index,
            sharing_mode=placement.sharing_mode,
            models=tuple(
                _unmeasured(one, (failures or {}).get(one.model_name))
                for one in gpu.assignments
            ),
            memory_predicted_bytes=gpu.memory_bytes,
            broken=tuple(
                f"{name} failed: {message}"
                for name, message in (failures or {}).items()
            ),
            warnings=tuple(warnings),
        )
    alone = {
        (one.models[0].key, one.models[0].offered_infer_per_sec): _Reading.of(
            one.models[0], one.duration_s
        )
        for one in measurements
        if len(one.models) == 1
    }
    last = measurements[-1]
    notes = list(warnings)
    verdicts = []
    for assignment, beside in zip(driven_assignments(gpu), last.models, strict=True):
        verdict = _judge_model(
            assignment,
            alone[beside.key, beside.offered_infer_per_sec],
            _Reading.of(beside, last.duration_s),
            placement.min_retention.get(assignment.model_name),
            tolerance,
            _promised_percentile(placement),
        )
        notes += _measurement_notes(beside)
        if verdict.not_judged is not None:
            notes.append(
                f"whether {verdict.model_name} keeps its promises cannot be said: "
                f"{verdict.not_judged}"
            )
        verdicts.append(verdict)
    broken = [
        f"{verdict.model_name} {verdict.broken}"
        for verdict in verdicts
        if verdict.broken is not None
    ]
    used = last.gpu_memory_used_bytes
    if used is not None and used > (1 + MEMORY_TOLERANCE) * gpu.memory_bytes:
        broken.append(
            f"{mib_from_bytes(used):,.0f} MiB were used, predicted were "
            f"{mib_from_bytes(gpu.memory_bytes):,.0f} MiB"
        )
    return GpuVerification(
        placed=digest,
        gpu_index=gpu.gpu_index,
        sharing_mode=placement.sharing_mode,
        models=tuple(verdicts),
        memory_predicted_bytes=gpu.memory_bytes,
        memory_measured_bytes=used,
        broken=tuple(broken),
        # A run that is judged anew has these already.
        warnings=tuple(dict.fromkeys(notes)),
        measurements=tuple(measurements),
    )


def _promised_infer_per_sec(assignment: Assignment) -> float | None:
    for promised in (
        assignment.served_infer_per_sec,
        assignment.predicted_infer_per_sec,
    ):
        if promised is not None:
            return promised
    return assignment.throughput_infer_per_sec


def _unmeasured(assignment: Assignment, failure: str | None) -> ModelVerdict:
    return ModelVerdict(
        model_name=assignment.model_name,
        load_point=assignment.load_point,
        promised_infer_per_sec=_promised_infer_per_sec(assignment),
        predicted_retention=assignment.retention,
        broken=None if failure is None else f"failed: {failure}",
        not_judged="not measured" if failure is None else None,
    )


def _judge_model(
    assignment: Assignment,
    alone: _Reading,
    beside: _Reading,
    min_retention: float | None,
    tolerance: float,
    percentile: float | None,
) -> ModelVerdict:
    promised = _promised_infer_per_sec(assignment)
    broken = None
    is_open = False
    is_slower_alone = False
    if promised is not None:
        least = (1 - tolerance) * promised
        is_open = beside.low < least
        if beside.high < least:
            broken = f"{beside} of {promised:.1f} promised"
            if _is_slower_alone(assignment, alone, beside, tolerance):
                is_slower_alone = True
                broken += (
                    f": alone it reaches {alone.rate:.1f} now, "
                    f"{assignment.throughput_infer_per_sec or 0:.1f} when profiled, "
                    "and its neighbors take no more than predicted"
                )
    if min_retention is not None and broken is None:
        least = min_retention - tolerance
        is_open = is_open or beside.low < least * alone.high
        if beside.high < least * alone.low:
            broken = (
                f"kept {beside.rate / alone.rate:.2f} of its throughput alone, asked "
                f"for {min_retention:g}"
            )
    doubt = _doubt(alone, beside) if is_open and broken is None else None
    limit_ms = assignment.latency_limit_ms if percentile is not None else None
    latency = None
    if percentile is not None and limit_ms is not None and beside.model.open_loop:
        latency = _percentile_of(beside.model, percentile)
        if broken is None:
            broken, latency_doubt = _judge_latency(
                beside.model, latency, percentile, limit_ms
            )
            doubt = None if broken else doubt or latency_doubt
    return ModelVerdict(
        model_name=assignment.model_name,
        load_point=assignment.load_point,
        promised_infer_per_sec=promised,
        latency_limit_ms=limit_ms,
        latency=latency,
        is_slower_alone=is_slower_alone,
        alone_infer_per_sec=alone.model.throughput_infer_per_sec,
        together_infer_per_sec=beside.model.throughput_infer_per_sec,
        predicted_retention=assignment.retention,
        min_retention=min_retention,
        is_client_limited=beside.model.is_client_limited,
        broken=broken,
        not_judged=doubt,
    )


def _is_slower_alone(
    assignment: Assignment, alone: _Reading, beside: _Reading, tolerance: float
) -> bool:
    """Return whether a model is slow by itself, not for its neighbors.

    It reaches less alone than its profile says, but keeps beside its neighbors as much
    of that as was predicted; or, sent less than it could serve, misses that alone.
    """
    profiled = assignment.throughput_infer_per_sec
    if profiled is None or assignment.retention is None or not alone.rate:
        return False
    wanted = assignment.served_infer_per_sec
    expected = profiled if wanted is None else min(profiled, wanted)
    return (
        alone.high < (1 - tolerance) * expected
        and beside.high >= (assignment.retention - tolerance) * alone.rate
    )


def _promised_percentile(placement: PlacementRecord) -> float | None:
    """Return the percentile of the latency that is promised, None if none is."""
    request = placement.request
    if request is None or request.latency is not LatencyRule.PREDICTED:
        return None
    return float(request.latency_percentile)


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
        return None, (
            f"too few requests ended for a {told} (limit {limit_ms:g} ms): measure "
            "longer"
        )
    interval = f"{latency.low_us / 1000:.3g} to " + (
        "no known end"
        if latency.high_us is None
        else f"{latency.high_us / 1000:.3g} ms"
    )
    if latency.low_us > 1000 * limit_ms:
        if sent is not None and not sent.is_on_schedule:
            return None, f"its client was late, which the {told} holds"
        return (
            f"took {latency.value_us / 1000:.3g} ms ({told}, {interval}), "
            f"{limit_ms:g} ms were promised"
        ), None
    if latency.high_us is None or latency.high_us > 1000 * limit_ms:
        return None, (
            f"its {told} is between {interval}, and {limit_ms:g} ms were promised: "
            "measure longer"
        )
    return None, None


@dataclass(frozen=True)
class _Reading:
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
    def of(cls, model: CoLocatedModel, duration_s: float | None) -> _Reading:
        rate = model.throughput_infer_per_sec or 0.0
        half = 0.0
        if not model.is_stable:
            ratio = model.throughput_ci_ratio
            # Without an interval: the two requests that may have ended just outside.
            half = (
                2 * model.load_point.batch_size / (duration_s or math.inf)
                if ratio is None
                else ratio * rate
            )
        high = math.inf if model.is_client_limited else rate + half
        return cls(model, rate, max(0.0, rate - half), high)

    def __str__(self) -> str:
        most = "" if self.high == self.rate else "at most "
        return f"reached {most}{self.high:.1f} infer/sec"


def _doubt(alone: _Reading, beside: _Reading) -> str:
    """Return why a promise cannot be judged."""
    for reading, where in ((beside, ""), (alone, " alone")):
        if reading.model.is_client_limited:
            return f"its client was the limit{where}"
        if not reading.model.is_stable:
            return f"its measurement{where} never settled"
    raise AssertionError("what was measured without doubt can be judged")


def _measurement_notes(beside: CoLocatedModel) -> list[str]:
    notes = []
    if beside.is_client_limited:
        notes.append(
            f"the throughput of {beside.model_name} was limited by its client; the GPU "
            "may give more"
        )
    if not beside.is_stable:
        ratio = beside.throughput_ci_ratio
        spread = "" if ratio is None else f": it is known to ±{100 * ratio:.0f} %"
        notes.append(f"the measurement of {beside.model_name} never settled{spread}")
    return notes
