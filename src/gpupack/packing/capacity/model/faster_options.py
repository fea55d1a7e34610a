"""Faster options of jobs of whole copies, where bins that are filled have room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.capacity.model.open_bins import OpenBins
from gpupack.packing.capacity.model.plan import FilledBin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model.capacity_problem import CapacityProblem


def raise_rates(problem: CapacityProblem, bins: OpenBins) -> None:
    """Exchange options of whole jobs for faster ones, where those fit."""
    for bin_type, contents in enumerate(bins.contents):
        for place, content in enumerate(contents):
            held = sorted(
                content,
                key=lambda one: -problem.jobs[problem.options[one].job].weight,
            )
            for option in held:
                job = problem.options[option].job
                if problem.jobs[job].is_whole:
                    _raise_rate(problem, bins, bin_type, place, option)


def _raise_rate(
    problem: CapacityProblem, bins: OpenBins, bin_type: int, place: int, option: int
) -> None:
    content = bins.contents[bin_type][place]
    job = problem.options[option].job
    faster = [
        one
        for one in problem.options_by_job[job]
        if problem.options[one].bin_type == bin_type
        and problem.options[one].rate > problem.options[option].rate
        and one not in content
    ]
    copies = int(content[option][0])
    room = bins.room(bin_type, place) + bins.fixed[option] * copies
    for one in sorted(faster, key=lambda one: -problem.options[one].rate):
        if (bins.fixed[one] * copies > room).any():
            continue
        if problem.rule is not None:
            counts = {o: int(n) for o, (n, _) in content.items() if o != option}
            counts[one] = copies
            if not problem.is_allowed(bin_type, tuple(sorted(counts.items()))):
                continue
        bins.add(bin_type, place, option, -copies, 0.0)
        bins.add(bin_type, place, one, copies, 0.0)
        return


def with_faster_options(
    problem: CapacityProblem, bins: Sequence[FilledBin]
) -> tuple[FilledBin, ...]:
    """Return bins whose jobs of whole copies run as fast as there is room for."""
    filling = OpenBins(problem)
    places = []
    for one in bins:
        place = filling.open(one.bin_type)
        places.append(place)
        for group in one.copies:
            load = group.service / problem.options[group.option].rate
            filling.add(one.bin_type, place, group.option, group.num_copies, load)
    raise_rates(problem, filling)
    return tuple(
        FilledBin(
            one.bin_type,
            filling.copies(filling.contents[one.bin_type][place]),
            one.multiplicity,
        )
        for one, place in zip(bins, places, strict=True)
    )
