"""Records of an unknown GPU type are of the type that the caller names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, is_same_card
from gpupack.spelling import in_words_of

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import Fleet, GpuType


def is_unknown(gpu_type: GpuType) -> bool:
    """Return whether a source did not say what its records were measured on."""
    return gpu_type.name == UNKNOWN_GPU_TYPE.name


def with_named_type(profiles: ProfileSet, fleet: Fleet) -> ProfileSet:
    """Return the profiles with those of an unknown GPU type as of the fleet's type.

    All that they say then holds there, throughput and utilizations included. In a
    fleet of several types they can be of one only, and nothing says of which: they
    stay as they are. A load point that was measured on the type itself is kept, and
    the one of an unknown type left out.

    Args:
        profiles: Of any GPU types.
        fleet: The GPUs to plan for.

    Raises:
        InvalidInputError: If both have a server-only baseline and these differ, so
            that what a model takes by itself could be told from neither.
    """
    if len(fleet.entries) != 1 or not any(map(is_unknown, profiles.gpu_types)):
        return profiles
    named = fleet.entries[0].gpu_type
    known = [one for one in profiles.gpu_types if not is_unknown(one)]
    # A card that was measured under another of its names is called so here.
    gpu_type = next((one for one in known if is_same_card(one, named)), named)
    _require_same_baseline(profiles, gpu_type)
    update = {"gpu_type": gpu_type}
    records = {one.key: one for one in profiles.records if not is_unknown(one.gpu_type)}
    for record in profiles.records:
        if is_unknown(record.gpu_type):
            renamed = record.model_copy(update=update)
            records.setdefault(renamed.key, renamed)
    baselines = {one.gpu_type.name: one for one in profiles.baselines}
    baseline = baselines.pop(UNKNOWN_GPU_TYPE.name, None)
    if baseline is not None:
        renamed_baseline = baseline.model_copy(update=update)
        baselines.setdefault(gpu_type.name, renamed_baseline)
    return profiles.model_copy(
        update={
            "records": tuple(records.values()),
            "baselines": tuple(baselines.values()),
        }
    )


def _require_same_baseline(profiles: ProfileSet, gpu_type: GpuType) -> None:
    ours, theirs = (
        profiles.baseline(name) for name in (UNKNOWN_GPU_TYPE.name, gpu_type.name)
    )
    if (
        ours is not None
        and theirs is not None
        and ours.gpu_memory_used_bytes != theirs.gpu_memory_used_bytes
    ):
        raise InvalidInputError(
            f"profiles of an unknown GPU type would be of {gpu_type.name}, but their "
            "server-only baseline is another one than that of the profiles which say "
            f"that they are of {gpu_type.name}; say of each what it was measured on "
            '(the column "gpu" of a table'
            + in_words_of(python=", or read_profiles(path, gpu=...))", shell=")")
        )
