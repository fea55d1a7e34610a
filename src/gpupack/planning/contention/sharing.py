"""What another way of sharing GPUs would save or cost."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from gpupack.planning.contention.retention import resolve_contention, retentions_or_none
from gpupack.records.environment import SharingMode
from gpupack.records.placement import SharingAlternative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.planning.contention.retention import Contention
    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import GpuType
    from gpupack.records.placement import PlacementRecord
    from gpupack.records.profile import ProfileRecord

COMPARED = (SharingMode.TIME_SLICING, SharingMode.MPS)
"""Streams are left out: whether a backend can use them is not a matter of choice."""


@dataclass(frozen=True, slots=True)
class SharedGpu:
    """What shares one GPU, or each of several that hold the same.

    Args:
        measured_on: The GPU type that the records are of.
        records: Of each instance.
        loads: Traffic ÷ throughput of each, 0–1; None for all of it.
        num_gpus: How many hold the same.
    """

    measured_on: GpuType
    records: tuple[ProfileRecord, ...]
    loads: tuple[float, ...] | None = None
    num_gpus: int = 1


def sharing_alternatives(
    profiles: ProfileSet,
    gpu_type: GpuType,
    gpus: Sequence[Sequence[ProfileRecord]],
    contention: Contention,
    count_gpus: Callable[[Contention], int | None],
) -> tuple[SharingAlternative, ...]:
    """Return what models on GPUs of one type would keep if these were shared otherwise.

    Args:
        profiles: May hold calibrations of the other ways.
        gpu_type: That the records were measured on.
        gpus: The records placed on each GPU.
        contention: How the GPUs are shared; that way itself is left out.
        count_gpus: Returns how many GPUs the same promise would take another way.
    """
    return alternatives_of(
        profiles,
        [SharedGpu(gpu_type, tuple(records)) for records in gpus],
        contention.sharing_mode,
        lambda mode: count_gpus(resolve_contention(profiles, gpu_type, mode)),
    )


def alternatives_of(
    profiles: ProfileSet,
    gpus: Sequence[SharedGpu],
    sharing: SharingMode | None,
    count_gpus: Callable[[SharingMode], int | None] = lambda _: None,
) -> tuple[SharingAlternative, ...]:
    """Return what the placed models would keep if GPUs were shared otherwise.

    Args:
        profiles: May hold calibrations of the other ways.
        gpus: What is placed; those of which nothing can be predicted do not count.
        sharing: How the GPUs are shared; that way itself is left out. None on a host.
        count_gpus: Returns how many GPUs the same promise would take another way.
    """
    if sharing is None:
        return ()
    found = []
    for mode in COMPARED:
        if mode is sharing:
            continue
        shares: list[float] = []
        counts: list[float] = []
        others: dict[str, Contention] = {}
        for gpu in gpus:
            name = gpu.measured_on.name
            if name not in others:
                others[name] = resolve_contention(profiles, gpu.measured_on, mode)
            other = others[name]
            kept = retentions_or_none(gpu.records, other, gpu.loads) or ()
            shares += kept
            counts += [gpu.num_gpus] * len(kept)
        if shares:
            found.append(
                SharingAlternative(
                    sharing_mode=mode,
                    lowest_retention=min(shares),
                    mean_retention=min(1.0, fmean(shares, counts)),
                    num_gpus=count_gpus(mode),
                )
            )
    return tuple(found)


def sharing_notes(placement: PlacementRecord) -> tuple[str, ...]:
    """Return in words what another way of sharing would save or cost."""
    kept = [
        one.retention
        for gpu in placement.gpus
        for one in gpu.assignments
        if one.retention is not None
    ]
    notes = []
    for other in placement.sharing_alternatives:
        if not kept:
            continue
        note = (
            f"shared through {other.sharing_mode}, the models of these GPUs would keep "
            f"{other.mean_retention:.0%} of their throughput on average, at least "
            f"{other.lowest_retention:.0%}; through {placement.sharing_mode} it is "
            f"{fmean(kept):.0%} and {min(kept):.0%}"
        )
        if other.num_gpus is not None:
            note += f"; keeping what was asked would take {other.num_gpus} GPUs" + (
                f", not {placement.num_gpus}"
                if other.num_gpus != placement.num_gpus
                else ", just as many"
            )
        notes.append(note)
    return tuple(notes)
