"""What another way of sharing GPUs would save or cost."""

from __future__ import annotations

from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING

from gpupack.planning.contention.retention import resolve_contention, retentions_of
from gpupack.records.environment import SharingMode
from gpupack.records.placement import SharingAlternative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.planning.contention.retention import Contention, SharedGpu
    from gpupack.profile_set import ProfileSet
    from gpupack.records.placement import PlacementRecord

COMPARED = (SharingMode.TIME_SLICING, SharingMode.MPS)
"""Streams are left out: whether a backend can use them is not a matter of choice."""


def alternatives_of(
    profiles: ProfileSet,
    gpus: Sequence[SharedGpu],
    sharing: SharingMode | None,
    count_gpus: Callable[[Contention], int | None],
) -> tuple[SharingAlternative, ...]:
    """Return what the placed models would keep if GPUs were shared otherwise.

    Args:
        profiles: May hold calibrations of the other ways.
        gpus: What is placed, those of one type together; those of which nothing can be
            predicted do not count.
        sharing: How the GPUs are shared; that way itself is left out. None on a host.
        count_gpus: Returns how many GPUs the same promise would take another way.
    """
    if sharing is None or not gpus:
        return ()
    found = []
    for mode in COMPARED:
        if mode is sharing:
            continue
        shares: list[float] = []
        counts: list[float] = []
        others = []
        for gpu_type, group in groupby(gpus, lambda one: one.measured_on):
            others.append(resolve_contention(profiles, gpu_type, mode))
            alike = list(group)
            for gpu, kept in zip(alike, retentions_of(alike, others[-1]), strict=True):
                shares += kept or ()
                counts += [gpu.num_gpus] * len(kept or ())
        if shares:
            found.append(
                SharingAlternative(
                    sharing_mode=mode,
                    lowest_retention=min(shares),
                    mean_retention=min(1.0, fmean(shares, counts)),
                    num_gpus=count_gpus(others[0]),
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
