"""What a plan gives each model: traffic, prediction, latency, and what is to spare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.planning.contention import (
    RetentionRule,
    has_all_readings,
    resolve_contention,
)
from gpupack.planning.request import wishes_of
from gpupack.recommendation import ModelEvidence
from gpupack.units import counted_sum_if_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet
    from gpupack.records.placement import Assignment, GpuPlacement
    from gpupack.records.profile import ProfileRecord
    from gpupack.records.request import Request


@dataclass
class _Totals:
    num_replicas: int = 0
    served: list[tuple[int, float | None]] = field(default_factory=list)
    predicted: list[tuple[int, float | None]] = field(default_factory=list)
    reachable: list[tuple[int, float | None]] = field(default_factory=list)
    latency_p99_us: list[float | None] = field(default_factory=list)


def evidence_of(
    plan: Placement, profiles: ProfileSet, asked: Request
) -> tuple[ModelEvidence, ...]:
    """Return what the plan gives each model, by name.

    Args:
        plan: The placement.
        profiles: That it was decided on.
        asked: What was asked at first, without a reserve.
    """
    demands = wishes_of(asked, profiles.model_names).demand
    totals: dict[str, _Totals] = {}
    known: dict[tuple[str, tuple[Assignment, ...]], list[float | None]] = {}
    for gpu in plan.gpus.runs:  # how many hold the same, and serve as much
        records = [_record(profiles, gpu, one) for one in gpu.assignments]
        key = gpu.gpu_type.name, gpu.assignments
        if key not in known:
            known[key] = _reachable(gpu, records, profiles, asked)
        for one, record, reach in zip(
            gpu.assignments, records, known[key], strict=True
        ):
            total = totals.setdefault(one.model_name, _Totals())
            total.num_replicas += gpu.num_gpus
            served = one.served_infer_per_sec
            if served is None:
                served = one.throughput_infer_per_sec
            total.served.append((gpu.num_gpus, served))
            total.predicted.append((gpu.num_gpus, one.predicted_infer_per_sec))
            total.reachable.append((gpu.num_gpus, reach))
            total.latency_p99_us.append(record.latency_p99_us)
    return tuple(
        _evidence(name, total, demands.get(name))
        for name, total in sorted(totals.items())
    )


def _evidence(name: str, total: _Totals, demand: float | None) -> ModelEvidence:
    reachable = counted_sum_if_known(total.reachable)
    latencies = [one for one in total.latency_p99_us if one is not None]
    return ModelEvidence(
        model_name=name,
        num_replicas=total.num_replicas,
        demand_infer_per_sec=demand,
        served_infer_per_sec=counted_sum_if_known(total.served),
        predicted_infer_per_sec=counted_sum_if_known(total.predicted),
        latency_p99_ms=max(latencies) / 1000
        if len(latencies) == len(total.latency_p99_us)
        else None,
        spare_ratio=reachable / demand - 1
        if demand and reachable is not None
        else None,
    )


def _record(profiles: ProfileSet, gpu: GpuPlacement, one: Assignment) -> ProfileRecord:
    """Return the record of an assignment: of its GPU type, or that stands in for it."""
    at_point = [
        record
        for record in profiles.records
        if record.model_name == one.model_name and record.load_point == one.load_point
    ]
    return next(
        (record for record in at_point if record.gpu_type.name == gpu.gpu_type.name),
        at_point[0],
    )


def _reachable(
    gpu: GpuPlacement,
    records: Sequence[ProfileRecord],
    profiles: ProfileSet,
    asked: Request,
) -> list[float | None]:
    """Return what each instance could reach while its neighbors take their traffic."""
    if not has_all_readings(records):
        return [None] * len(records)
    rule = RetentionRule(
        records,
        resolve_contention(
            profiles,
            records[0].gpu_type,
            asked.sharing,
            host_cores=gpu.gpu_type.host_cpus_per_gpu,
        ),
        {},
        loads=[
            1.0
            if one.served_infer_per_sec is None
            else min(
                1.0, one.served_infer_per_sec / (record.throughput_infer_per_sec or 1.0)
            )
            for one, record in zip(gpu.assignments, records, strict=True)
        ],
    )
    shares = rule.reachable_shares(tuple((item, 1) for item in range(len(records))))
    return [
        share * (record.throughput_infer_per_sec or 0.0)
        for share, record in zip(shares, records, strict=True)
    ]
