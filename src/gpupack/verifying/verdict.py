"""Judge one GPU: what the placement promised against what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.request import LatencyRule
from gpupack.records.running.verification import GpuVerification, ModelVerdict
from gpupack.units import mib_from_bytes
from gpupack.verifying.model_verdict import (
    Asked,
    Reading,
    judge_model,
    promised_infer_per_sec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.records.colocation import CoLocatedModel, CoLocation
    from gpupack.records.placement import (
        Assignment,
        GpuPlacement,
        PlacementRecord,
    )
    from gpupack.records.profile import ProfileRecord

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
    restarted: str | None = None,
) -> GpuVerification:
    """Return the verdict on one GPU.

    A promise is broken when a model reaches less than ``1 − tolerance`` of its promised
    throughput (the traffic planned for it, where it was placed for a demand), when it
    keeps more than ``tolerance`` points less than the retention asked for, or when more
    than ``MEMORY_TOLERANCE`` more memory was used than predicted.

    The upper end of a confidence interval has to break a promise, and the lower end to
    keep one; between the two the model is not judged, which is a warning. Retention is
    judged by pairs, alone and together in the same round. Where the client was the
    limit the throughput is at least what was measured. A throughput that was promised
    by a profile of several loads is promised less what another load may lack.

    What is missing of a throughput is missing alone already, or beside the neighbors:
    the larger part names the cause.

    Args:
        placement: Says what was asked for.
        gpu: What was promised.
        measurements: Every driven instance alone, then all together; one alone is both.
            None when a model failed.
        digest: Identifies what was placed.
        tolerance: See above.
        warnings: Kept in the record.
        failures: By model name, how it failed to load or to answer.
        restarted: What shows that the server was restarted in between: nothing is
            known then.
    """
    if restarted is not None:
        return GpuVerification(
            placed=digest,
            gpu_index=gpu.gpu_index,
            sharing_mode=placement.sharing_mode,
            models=tuple(
                _unmeasured(one, None, f"not known: {restarted}")
                for one in gpu.assignments
            ),
            memory_predicted_bytes=gpu.memory_bytes,
            warnings=(
                *warnings,
                f"nothing of GPU {gpu.gpu_index} is known: {restarted}; what was "
                "measured before and after it cannot be compared, so verify again",
            ),
        )
    if failures or not measurements:
        return GpuVerification(
            placed=digest,
            gpu_index=gpu.gpu_index,
            sharing_mode=placement.sharing_mode,
            models=tuple(
                _unmeasured(one, (failures or {}).get(one.model_name), "not measured")
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
        (one.models[0].key, one.models[0].offered_infer_per_sec): Reading.of(
            one.models[0], one.duration_s
        )
        for one in measurements
        if len(one.models) == 1
    }
    last = measurements[-1]
    measured_s = sum(one.duration_s or 0.0 for one in measurements) or None
    notes = list(warnings)
    notes += [
        f"{', '.join(model.model_name for model in one.models)} {one.label}: {note}"
        for one in measurements
        for note in one.environment.notes
    ]
    verdicts = []
    for assignment, beside in zip(driven_assignments(gpu), last.models, strict=True):
        verdict = judge_model(
            assignment,
            alone[beside.key, beside.offered_infer_per_sec],
            Reading.of(beside, last.duration_s),
            Asked(
                min_retention=placement.min_retention.get(assignment.model_name),
                tolerance=tolerance,
                percentile=_promised_percentile(placement),
                profiled=_profiled(placement, gpu, assignment),
                measured_s=measured_s,
            ),
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


def undecided_places(
    placement: PlacementRecord, gpu: GpuPlacement, tolerance: float
) -> Callable[[Sequence[CoLocation]], set[int]]:
    """Return what tells which driven instances' promises measurements leave open.

    Their places among ``driven_assignments``; those that no further measurement
    decides, because their client is the limit, are left out.
    """

    def find(measurements: Sequence[CoLocation]) -> set[int]:
        found = judge_gpu(placement, gpu, measurements, digest="-", tolerance=tolerance)
        return {
            place
            for place, one in enumerate(found.models)
            if one.not_judged is not None and not one.is_client_limited
        }

    return find


def _unmeasured(
    assignment: Assignment, failure: str | None, why_not: str
) -> ModelVerdict:
    return ModelVerdict(
        model_name=assignment.model_name,
        load_point=assignment.load_point,
        promised_infer_per_sec=promised_infer_per_sec(assignment),
        predicted_retention=assignment.retention,
        has_failed=failure is not None,
        broken=None if failure is None else f"failed: {failure}",
        not_judged=why_not if failure is None else None,
    )


def _profiled(
    placement: PlacementRecord, gpu: GpuPlacement, assignment: Assignment
) -> ProfileRecord | None:
    found = [
        one
        for one in placement.placed_profiles
        if (one.model_name, one.load_point)
        == (assignment.model_name, assignment.load_point)
    ]
    for one in found:
        if one.gpu_type.name == gpu.gpu_type.name:
            return one
    return found[0] if found else None


def _promised_percentile(placement: PlacementRecord) -> float | None:
    """Return the percentile of the latency that is promised, None if none is."""
    request = placement.request
    if request is None or request.latency is not LatencyRule.PREDICTED:
        return None
    return float(request.latency_percentile)


def _measurement_notes(beside: CoLocatedModel) -> list[str]:
    notes = []
    if beside.is_client_limited:
        notes.append(
            f"the throughput of {beside.model_name} was limited by its client; the GPU "
            "may give more"
        )
    if not beside.is_stable and not beside.rounds:
        ratio = beside.throughput_ci_ratio
        spread = "" if ratio is None else f": it is known to ±{100 * ratio:.0f} %"
        notes.append(f"the measurement of {beside.model_name} never settled{spread}")
    return notes
