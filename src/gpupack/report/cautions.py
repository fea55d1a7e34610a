"""What somebody must know of a placement before all else.

That its models cannot run at the same time, slow each other down far, or do not keep
the demand that was planned for. Judged from the placement alone, so that one that was
written long ago is told the same way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpupack.quoting import number_ranges, quoted, quoted_all
from gpupack.records.gpu import Resource, ResourceUnit
from gpupack.records.profile import RecordOrigin
from gpupack.records.request import LatencyRule
from gpupack.spelling import setting
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpupack.records.placement import (
        Assignment,
        EqualGpus,
        GpuPlacement,
        PlacementRecord,
    )

FAR_BELOW = 0.9
"""A model that keeps less than this of its throughput is told of."""
KEPT_TOLERANCE = 1e-5
"""What a prediction may lack of a demand, as a share of it, and still keep it."""
SIMULATED_TOLERANCE = 0.01
"""So much a simulated retention may lack of a promise: it is not known better."""
FULL_PERCENT = 100.0
NEAR_SATURATION_PERCENT = 85.0
"""Of the time that a GPU is planned to be at work: beyond it half of the p99 measured
for 18 s are within 20 % of what they are in the long run (see the documentation)."""
SUM_TOLERANCE = 1e-6
"""By which a sum of readings may exceed what there is, as a share of it."""


def cautions_of(placement: PlacementRecord) -> tuple[str, ...]:
    """Return what to know first, the gravest first; empty if there is nothing."""
    overfull = tuple(_overfull(placement))
    return (
        *_estimated(placement),
        *overfull,
        *_broken_demands(placement),
        *_broken_latencies(placement),
        *_broken_retentions(placement),
        *_near_saturation(placement),
        # Where sums are too high, that models slow each other down is said with them.
        *(() if overfull else _slowed_down(placement)),
        *_shared(placement),
    )


def other_warnings(placement: PlacementRecord) -> tuple[str, ...]:
    """Return the placement's warnings without those that are told first."""
    first = set(cautions_of(placement))
    return tuple(text for text in placement.warnings if text not in first)


def lowest_kept(
    placement: PlacementRecord,
) -> tuple[float, GpuPlacement, Assignment] | None:
    """Return the least share that a model is predicted to keep, where, and of which.

    None if nothing was predicted.
    """
    predicted = [
        (share, gpu, one)
        for gpu in placement.gpus.runs
        for one in gpu.assignments
        if (share := one.retention) is not None
    ]
    return min(predicted, key=lambda entry: entry[0], default=None)


def estimated_gpus(placement: PlacementRecord) -> frozenset[str]:
    """Return the GPU types in use of which nothing was measured, only estimated."""
    used = placement.gpus_by_type
    return frozenset(
        one.gpu_type.name
        for one in placement.profiles
        if one.origin is RecordOrigin.SCALED and one.gpu_type.name in used
    )


def type_text(placement: PlacementRecord, gpu_type_name: str) -> str:
    """Return the name of a GPU type, and whether what it holds is an estimate."""
    is_estimated = gpu_type_name in estimated_gpus(placement)
    return f"{gpu_type_name} (estimated)" if is_estimated else gpu_type_name


def _estimated(placement: PlacementRecord) -> Iterator[str]:
    """Say that nothing was measured on a GPU type."""
    for name in sorted(estimated_gpus(placement)):
        sources = sorted(
            {
                one.scaled_from
                for one in placement.profiles
                if one.gpu_type.name == name and one.scaled_from is not None
            }
        )
        number = placement.gpus_by_type.get(name, 0)
        yield (
            f"nothing was measured on {name}: throughput and utilizations on "
            f"{number} of {placement.num_gpus} GPUs are estimates, scaled from "
            f"{', '.join(sources)} by published figures; measure there before anything "
            "rests on them"
        )


def _overfull(placement: PlacementRecord) -> Iterator[str]:
    """Say that models cannot all be busy at once, where utilizations sum too high."""
    sums = [
        (use.used, use.resource, gpu)
        for gpu in placement.gpus.runs
        for use in gpu.resources
        if use.resource.unit is ResourceUnit.PERCENT
        and use.used > FULL_PERCENT * (1 + SUM_TOLERANCE)
    ]
    if not sums:
        return
    used, resource, gpu = max(sums, key=lambda entry: entry[0])
    num_gpus = sum({one.gpu_index: one.num_gpus for _, _, one in sums}.values())
    kept = ""
    least = lowest_kept(placement)
    if least is not None:
        share, where, model = least
        kept = (
            f"; {quoted(model.model_name)} on GPU {where.gpu_index} is predicted to "
            f"keep {share:.0%} of its throughput"
        )
    yield (
        f"the models on {num_gpus} of {placement.num_gpus} GPUs cannot all run at the "
        f"same time: {resource.words}s sum to {used:.0f} % on GPU "
        f"{gpu.gpu_index}{kept}. This plan is for models that are seldom busy "
        "together; for others ask for demands or for max_throughput"
    )


def _broken_demands(placement: PlacementRecord) -> Iterator[str]:
    """Say which demand the prediction does not keep, the worst of them first."""
    served: dict[str, float] = {}
    predicted: dict[str, float] = {}
    for gpu in placement.gpus.runs:
        for one in gpu.assignments:
            if one.served_infer_per_sec and one.predicted_infer_per_sec is not None:
                name = one.model_name
                number = gpu.num_gpus
                served[name] = served.get(name, 0.0) + number * one.served_infer_per_sec
                predicted[name] = (
                    predicted.get(name, 0.0) + number * one.predicted_infer_per_sec
                )
    broken = [
        name for name in served if predicted[name] < served[name] * (1 - KEPT_TOLERANCE)
    ]
    if not broken:
        return
    worst = min(broken, key=lambda name: predicted[name] / served[name])
    yield (
        f"{len(broken)} of {len(served)} demands are not kept as predicted: "
        f"{quoted(worst)} is predicted to reach {in_digits(predicted[worst], 4)} of "
        f"{in_digits(served[worst], 4)} infer/sec beside its neighbors; "
        f"{setting('demand_met', 'predicted')} makes it a condition"
    )


def _with_limits(
    placement: PlacementRecord,
) -> Iterator[tuple[EqualGpus, Assignment]]:
    """Yield what has a latency limit and planned traffic, and where it is."""
    for gpu in placement.gpus.runs:
        for one in gpu.assignments:
            if one.latency_limit_ms is not None and one.served_infer_per_sec:
                yield gpu, one


def _broken_latencies(placement: PlacementRecord) -> Iterator[str]:
    """Say which limit is predicted to be broken at the planned traffic.

    One that was a condition may be, too: the rule and the prediction differ.
    """
    limited = [(gpu.num_gpus, one) for gpu, one in _with_limits(placement)]
    late = [
        (
            (one.predicted_latency_us or math.inf) / 1000 / (one.latency_limit_ms or 1),
            number,
            one,
        )
        for number, one in limited
        if one.predicted_latency_us is None
        or one.predicted_latency_us > 1000 * (one.latency_limit_ms or math.inf)
    ]
    if not late or placement.request is None:
        return
    _, _, worst = max(late, key=lambda entry: entry[0])
    told = (
        "is predicted to answer later and later"
        if worst.predicted_latency_us is None
        else "is predicted to take "
        f"{in_digits(worst.predicted_latency_us / 1000, 3)} ms"
    )
    is_condition = placement.request.latency is LatencyRule.PREDICTED
    kept = "by the planner's rule" if is_condition else "alone"
    yield (
        f"{sum(number for _, number, _ in late)} of "
        f"{sum(number for number, _ in limited)} latency limits, kept {kept}, are not "
        f"kept as predicted: {quoted(worst.model_name)} {told} (p"
        f"{placement.request.latency_percentile}, limit {worst.latency_limit_ms:g} ms) "
        "beside its neighbors at its traffic"
        + (
            ""
            if is_condition
            else f"; {setting('latency', 'predicted')} makes it a condition"
        )
    )


def _near_saturation(placement: PlacementRecord) -> Iterator[str]:
    """Say which limits are of latencies that nobody can know well.

    Those of GPUs that are planned to be at work nearly all the time; those that are
    predicted to be broken are told of as such.
    """
    limited = [
        (gpu, one)
        for gpu, one in _with_limits(placement)
        if one.predicted_latency_us is not None
        and one.predicted_latency_us <= 1000 * (one.latency_limit_ms or math.inf)
    ]
    near = [
        (use.used, gpu, one)
        for gpu, one in limited
        for use in gpu.resources
        if use.resource is Resource.GPU_UTILIZATION
        and NEAR_SATURATION_PERCENT < use.used <= FULL_PERCENT * (1 + SUM_TOLERANCE)
    ]
    if not near or placement.request is None:
        return
    busy, where, worst = max(near, key=lambda entry: entry[0])
    percentile = placement.request.latency_percentile
    yield (
        f"{sum(gpu.num_gpus for _, gpu, _ in near)} of "
        f"{sum(gpu.num_gpus for gpu, _ in limited)} predicted latencies are of GPUs "
        f"that are planned to be at work for more than {NEAR_SATURATION_PERCENT:.0f} % "
        f"of the time: {quoted(worst.model_name)} on GPU {where.gpu_index} "
        f"({busy:.0f} %). Queues are long there for seconds on end: half of all "
        f"measurements of 20 s find a p{percentile} that is more than 20 % off; a "
        f"lower {setting('headroom')} keeps clear of it"
    )


def _broken_retentions(placement: PlacementRecord) -> Iterator[str]:
    """Say that models keep less, as expected, than the planner's rule lets them.

    A demand is told of as one.
    """
    asked = [
        (share - floor, gpu.num_gpus, share, one)
        for gpu in placement.gpus.runs
        for one in gpu.assignments
        if one.served_infer_per_sec is None
        and (share := one.retention) is not None
        and (floor := placement.min_retention.get(one.model_name)) is not None
    ]
    below = [entry for entry in asked if entry[0] < -SIMULATED_TOLERANCE]
    if not below:
        return
    _, _, share, worst = min(below, key=lambda entry: entry[0])
    yield (
        f"{sum(number for _, number, _, _ in below)} of "
        f"{sum(number for _, number, _, _ in asked)} promises of "
        f"{setting('min_retention')}, kept by the planner's rule, are not kept as "
        f"expected: {quoted(worst.model_name)} is expected to keep {share:.0%} of "
        f"{placement.min_retention[worst.model_name]:.0%}"
    )


def _slowed_down(placement: PlacementRecord) -> Iterator[str]:
    """Say that models are slow together, where no sum of utilizations shows it.

    Of models of which somebody said what to keep, `_broken_retentions` does.
    """
    slow = [
        (share, gpu, one)
        for gpu in placement.gpus.runs
        for one in gpu.assignments
        if one.served_infer_per_sec is None
        and (share := one.retention) is not None
        and share < FAR_BELOW - KEPT_TOLERANCE
        and one.model_name not in placement.min_retention
    ]
    if not slow:
        return
    share, gpu, one = min(slow, key=lambda entry: entry[0])
    number = sum(where.num_gpus for _, where, _ in slow)
    yield (
        f"no utilizations sum to more than 100 %, yet {_models_are(number)} "
        f"predicted to keep less than {FAR_BELOW:.0%} of their throughput when all run "
        "at once: "
        f"{quoted(one.model_name)} on GPU {gpu.gpu_index} keeps {share:.0%}; "
        f"{setting('min_retention')} says what to keep"
    )


def _shared(placement: PlacementRecord) -> Iterator[str]:
    """Say which models share a composing model, and so its instances."""
    gpus: dict[tuple[str, tuple[str, ...]], list[range]] = {}
    for gpu in placement.gpus.runs:
        for one in gpu.shared_models:
            where = gpus.setdefault((one.model_name, one.callers), [])
            where.append(gpu.gpu_indices)
    if not gpus:
        return
    (name, callers), where = next(iter(gpus.items()))
    others = len(gpus) - 1
    more = f", and {others} more such sets" if others > 1 else ""
    more = ", and one more such set" if others == 1 else more
    yield (
        f"{quoted_all(callers)} share the composing model {quoted(name)} on GPU "
        f"{number_ranges(where)}{more}: its memory counts once, and "
        "its instances serve all of them. Each throughput was measured with those to "
        "itself: do not count on all of them at once; gpupack verify measures them "
        "together"
    )


def _models_are(number: int) -> str:
    return "1 model is" if number == 1 else f"{number} models are"
