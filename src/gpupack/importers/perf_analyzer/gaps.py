"""What perf_analyzer's exports do not say, and what is assumed or told instead."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from gpupack.quoting import quoted_all
from gpupack.records.environment import Environment
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_BATCH_SIZE = 1
"""perf_analyzer's own default (its option ``-b``)."""
_NO_GPU = (
    "perf_analyzer's export has no GPU readings; measure the model with gpupack profile"
)
_AVERAGE_ONLY = (
    "perf_analyzer reports the average GPU utilization, not the highest; measure the "
    "model with gpupack profile"
)
_NO_MEMORY_UTILIZATION = (
    "perf_analyzer does not report memory utilization; measure the model with gpupack "
    "profile"
)


def assumptions(batch_size: int | None, unknown: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what is assumed where nobody says the batch size.

    Args:
        batch_size: As it was given.
        unknown: Columns that are not understood: one of them may say it.
    """
    if batch_size is not None:
        return ()
    told = (
        "perf_analyzer's export does not give the batch size; its default of "
        f"{DEFAULT_BATCH_SIZE} was assumed ({setting('batch_size')} says otherwise)"
    )
    if unknown:
        told += (
            f"; not understood were the columns {quoted_all(unknown)}: if "
            "one of them is the batch size, say so ({setting('columns')})"
        )
    return (told,)


def rate_warnings(requests_per_sec: float | None) -> tuple[str, ...]:
    """Return what a record at a request rate says of its throughput."""
    if requests_per_sec is None:
        return ()
    return (
        f"requests were sent at {requests_per_sec:g} a second: the throughput is what "
        "was asked for, the model may reach more",
    )


@lru_cache(maxsize=1000)
def environment(
    where: str, *, version: str | None = None, gpu_uuid: str | None = None
) -> Environment:
    """Return what is known of a measurement of perf_analyzer, which file it is in."""
    return Environment(
        source=f"perf_analyzer export {where}",
        client_name="perf_analyzer",
        client_version=version,
        gpu_uuid=gpu_uuid or None,
    )


def missing_gpu_readings(values: Mapping[str, float]) -> dict[str, str]:
    """Return why perf_analyzer has no reading of the GPU, by field."""
    return dict(_reasons(*(name in values for name in _GPU_READINGS)))


_GPU_READINGS = (
    "memory_utilization_percent",
    "gpu_utilization_percent",
    "gpu_memory_used_bytes",
    "gpu_utilization_mean_percent",
)


@cache
def _reasons(
    has_memory_utilization: bool, has_highest: bool, has_memory: bool, has_mean: bool
) -> dict[str, str]:
    reasons = {}
    if not has_memory_utilization:
        reasons["memory_utilization_percent"] = _NO_MEMORY_UTILIZATION
    if not has_highest:
        reasons["gpu_utilization_percent"] = _AVERAGE_ONLY if has_mean else _NO_GPU
    if not has_memory:
        reasons["gpu_memory_used_bytes"] = _NO_GPU
    return reasons
