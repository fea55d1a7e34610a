"""The built-in profiles: ``load_example("medical")`` and others."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from gpupack.errors import UnknownNameError
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType
from gpupack.records.profile import LoadPoint, ProfileRecord, ServerBaseline
from gpupack.store import read_profile_file
from gpupack.units import bytes_from_mib

if TYPE_CHECKING:
    from collections.abc import Callable

_MEDICAL_SOURCE = "published profiling tables of nine medical imaging models, 2020"
_MEDICAL_GPU = GpuType(name="16GB", memory_bytes=bytes_from_mib(16 * 1024))
_MEDICAL_LOAD_POINT = LoadPoint(batch_size=2, concurrency=4)
_MEDICAL_BASELINE_MIB = 309
_MEDICAL_TABLE = (
    # model, infer/sec, memory utilization %, GPU utilization %, MiB with the server
    ("classification_breast", 1381.6, 1, 23, 1461),
    ("classification_chest", 172.4, 11, 56, 5035),
    ("classification_malaria", 586, 2, 43, 1851),
    ("segmentation_ct_colon_tumor", 33.6, 60, 60, 6955),
    ("segmentation_ct_pancreas", 29.6, 51, 79, 6955),
    ("segmentation_ct_spleen", 32, 54, 54, 6955),
    ("segmentation_liver", 28, 53, 76, 11051),
    ("segmentation_mri_brain_tumor", 4, 48, 48, 8579),
    ("segmentation_mri_hippocampus", 30.8, 52, 52, 6955),
)


def load_example(name: str) -> ProfileSet:
    """Return a built-in set of profiles.

    Args:
        name: ``"medical"``: nine medical imaging models at batch size 2 and
            concurrency 4 on a 16-GB GPU, as an article published them in 2020
            (its "MB" read as MiB). ``"h200"``: thirteen networks at 74 load points
            on an NVIDIA H200, measured by ``gpupack.profile``. The twelve points whose
            confidence interval stayed wider than ±3 % are in it, marked as not stable;
            ``place`` leaves them out unless told ``allow_unstable=True``.

    Raises:
        UnknownNameError: If there is no such example; names those there are.
    """
    if not isinstance(name, str) or name not in _LOADER_BY_NAME:
        raise UnknownNameError(
            f"unknown example {quoted(name)}; there are "
            f"{', '.join(sorted(_LOADER_BY_NAME))}"
        )
    return _LOADER_BY_NAME[name]()


def example_names() -> tuple[str, ...]:
    """Return the names of the built-in examples, sorted."""
    return tuple(sorted(_LOADER_BY_NAME))


def _load_medical() -> ProfileSet:
    environment = Environment(source=_MEDICAL_SOURCE, server_name="triton")
    reason = "the published tables do not give it"
    baseline = ServerBaseline.with_reason(
        reason,
        gpu_type=_MEDICAL_GPU,
        environment=environment,
        gpu_utilization_percent=9,
        memory_utilization_percent=0,
        gpu_memory_used_bytes=bytes_from_mib(_MEDICAL_BASELINE_MIB),
    )
    records = tuple(
        ProfileRecord.with_reason(
            reason,
            model_name=model_name,
            load_point=_MEDICAL_LOAD_POINT,
            gpu_type=_MEDICAL_GPU,
            environment=environment,
            throughput_infer_per_sec=throughput,
            memory_utilization_percent=memory_utilization,
            gpu_utilization_percent=gpu_utilization,
            gpu_memory_used_bytes=bytes_from_mib(memory_mib),
        )
        for (
            model_name,
            throughput,
            memory_utilization,
            gpu_utilization,
            memory_mib,
        ) in _MEDICAL_TABLE
    )
    return ProfileSet(records=records, baselines=(baseline,))


def _load_h200() -> ProfileSet:
    with as_file(files("gpupack") / "data" / "h200.jsonl") as path:
        return read_profile_file(path)


_LOADER_BY_NAME: dict[str, Callable[[], ProfileSet]] = {
    "h200": _load_h200,
    "medical": _load_medical,
}
