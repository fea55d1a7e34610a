"""Placements at random, and repositories that fit them, without asking a solver."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import gpupack
from gpupack.profile_set import ProfileSet
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import DeviceKind, GpuType
from gpupack.records.placement import Assignment, GpuPlacement
from gpupack.records.profile import LoadPoint, ModelVariant, ProfileRecord
from tests.factories import MIB, make_baseline, make_record
from tests.profiling.served_models import write_model

if TYPE_CHECKING:
    from pathlib import Path

HOST = GpuType(name="host, test", memory_bytes=65536 * MIB, kind=DeviceKind.HOST)
H200 = GpuType(name="NVIDIA H200", memory_bytes=143771 * MIB)
NAMES = ("alpha", "Beta_2", "gamma.v1", "delta-x", "EPSILON")


def variant_of(rng: random.Random, name: str) -> ModelVariant | None:
    """One of Model Analyzer's configurations, or None for the model as it is."""
    if rng.random() < 0.4:
        return None
    batching = rng.random() < 0.5
    count = rng.randint(1, 2)
    return ModelVariant(
        name=f"{name}_config_{rng.randint(0, 9)}",
        num_gpu_instances=count,
        num_cpu_instances=0,
        max_batch_size=rng.choice([4, 8, 16]),
        has_dynamic_batching=batching,
        preferred_batch_sizes=(2, 4) if batching and rng.random() < 0.5 else (),
    )


def random_placement(
    seed: int,
    *,
    gpu_type: GpuType = HOST,
    sharing_mode: SharingMode | None = None,
    names: tuple[str, ...] = NAMES,
    most_gpus: int = 3,
    most_models: int = 4,
    throughput: float = 1.0,
    backend: str = "python",
    repeated: float = 0.0,
) -> gpupack.Placement:
    """A placement of a few models on a few GPUs, at load points of several variants.

    It promises each instance ``throughput``; no demand, so that they are driven freely.
    A GPU is like an earlier one with probability ``repeated``.
    """
    rng = random.Random(seed)
    points = {
        name: LoadPoint(
            batch_size=rng.choice([1, 2, 4]),
            concurrency=rng.choice([1, 2]),
            variant=variant_of(rng, name),
        )
        for name in names
    }
    records = tuple(
        make_record(
            name,
            gpu_type=gpu_type,
            load_point=point,
            throughput_infer_per_sec=throughput,
            gpu_memory_used_bytes=500 * MIB,
            environment=Environment(
                source="test", backend=backend, sharing_mode=sharing_mode
            ),
        )
        for name, point in points.items()
    )
    placed = gpupack.place(
        ProfileSet(records=records, baselines=(make_baseline(40, gpu_type),))
    )
    by_name = {record.model_name: record for record in records}
    gpus: list[GpuPlacement] = []
    for index in range(rng.randint(1, most_gpus)):
        if gpus and rng.random() < repeated:
            chosen = list(rng.choice(gpus).models)
        else:
            chosen = rng.choices(names, k=rng.randint(1, most_models))
        gpus.append(_gpu(index, gpu_type, sorted(chosen), by_name))
    return placed.model_copy(
        update={
            "gpus": tuple(gpus),
            "num_gpus": len(gpus),
            "sharing_mode": sharing_mode,
        }
    )


def _gpu(
    index: int, gpu_type: GpuType, names: list[str], records: dict[str, ProfileRecord]
) -> GpuPlacement:
    return GpuPlacement(
        gpu_index=index,
        gpu_type=gpu_type,
        baseline_memory_bytes=40 * MIB,
        resources=(),
        assignments=tuple(
            Assignment(
                model_name=name,
                load_point=records[name].load_point,
                throughput_infer_per_sec=records[name].throughput_infer_per_sec,
                memory_bytes=460 * MIB,
            )
            for name in names
        ),
    )


def write_models(repository: Path, names: tuple[str, ...] = NAMES) -> Path:
    """A repository with each of the models, at most eight to a batch."""
    repository.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_model(repository, name)
    return repository
