"""Judge one GPU: what the placement promised against what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.records.verification import GpuVerification, ModelVerdict
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.records.colocation import CoLocatedModel, CoLocation
    from gpupack.records.placement import (
        Assignment,
        GpuPlacement,
        PlacementRecord,
    )

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
    than ``MEMORY_TOLERANCE`` more memory was used than predicted. What the client held
    back is no broken promise but a warning.

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
        (one.models[0].key, one.models[0].offered_infer_per_sec): one.models[0]
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
            beside,
            placement.min_retention.get(assignment.model_name),
            tolerance,
        )
        if verdict.is_client_limited:
            notes.append(
                f"the throughput of {assignment.model_name} was limited by its client; "
                "it says nothing about the GPU"
            )
        if not beside.is_stable:
            notes.append(f"the measurement of {assignment.model_name} never settled")
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
    alone: CoLocatedModel,
    beside: CoLocatedModel,
    min_retention: float | None,
    tolerance: float,
) -> ModelVerdict:
    promised = _promised_infer_per_sec(assignment)
    verdict = ModelVerdict(
        model_name=assignment.model_name,
        load_point=assignment.load_point,
        promised_infer_per_sec=promised,
        alone_infer_per_sec=alone.throughput_infer_per_sec,
        together_infer_per_sec=beside.throughput_infer_per_sec,
        predicted_retention=assignment.retention,
        min_retention=min_retention,
        is_client_limited=beside.is_client_limited,
    )
    if beside.is_client_limited:
        return verdict
    reached = beside.throughput_infer_per_sec or 0.0
    kept = verdict.retention or 0.0
    broken = None
    if promised is not None and reached < (1 - tolerance) * promised:
        broken = f"reached {reached:.1f} infer/sec of {promised:.1f} promised"
    elif min_retention is not None and kept < min_retention - tolerance:
        broken = f"kept {kept:.2f} of its throughput alone, asked for {min_retention:g}"
    return verdict.model_copy(update={"broken": broken})
