"""How the bins of a plan share out the service: evenly, then by the fewest copies."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model.configurations import Configuration, fixed_room_left
from gpupack.packing.capacity.model.plan import Copies, FilledBin
from gpupack.packing.runtime import solve_linear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.packing.capacity.model.capacity_problem import CapacityProblem


@dataclass(frozen=True)
class _EqualBins:
    """Bins that hold the same: the copies of each option in one, and their loads."""

    bin_type: int
    counts: dict[int, int]
    loads: dict[int, float]
    number: int


MAX_ROUNDS = 3
"""Of dropping copies and evening out what is left."""
ROUNDING = 1e-7
NEGLIGIBLE = 1e-9
"""Share of a bin that is left out of account: coefficients so small upset GLOP."""
MAX_SPARE_TRIALS = 40
"""Copies that are tried to be left out, at most."""


def share_out(
    problem: CapacityProblem,
    uses: Sequence[tuple[Configuration, int]],
    shares: Sequence[float | None],
    whole_copies: Sequence[int],
    served: Sequence[Mapping[int, float]],
    *,
    deadline: float = math.inf,
) -> tuple[FilledBin, ...]:
    """Return the bins with their service, the highest fill as low as it can be.

    Args:
        problem: What was planned.
        uses: Configurations and how many bins have each.
        shares: Share of its demand that each job gets, None for whole jobs.
        whole_copies: Copies of each option of whole jobs that are wanted.
        served: Per configuration and option, the share of a demand that is served: as
            it stays where the program that evens it out fails.
        deadline: On the clock of ``time.perf_counter``, after which nothing more is
            tried: the service is shared out all the same.
    """
    least = _least_copies(problem, shares)
    uses, loads = _without_spares(problem, uses, shares, least, served, deadline)
    bins = _filled(uses, loads)
    for _ in range(MAX_ROUNDS):
        bins, is_less = _drop_idle(problem, bins, shares, whole_copies, least)
        if (
            not is_less
            or len(uses) > MAX_SPARE_TRIALS
            or time.perf_counter() >= deadline
        ):
            break
        # What was dropped leaves room where others may serve more.
        uses = _uses_of(bins)
        evened = _even_loads(problem, uses, shares, deadline)
        if evened is None:
            break
        bins = _filled(uses, evened[0])
    else:
        bins, _ = _drop_idle(problem, bins, shares, whole_copies, least)
    merged: dict[FilledBin, int] = {}
    for group in bins:
        copies = tuple(
            Copies(
                option,
                count,
                float(count * problem.options[option].rate)
                if problem.jobs[problem.options[option].job].is_whole
                else group.loads.get(option, 0.0) * problem.options[option].rate,
            )
            for option, count in sorted(group.counts.items())
            if count
        )
        if copies:
            one = FilledBin(group.bin_type, copies)
            merged[one] = merged.get(one, 0) + group.number
    return tuple(
        FilledBin(one.bin_type, one.copies, count) for one, count in merged.items()
    )


def _least_copies(
    problem: CapacityProblem, shares: Sequence[float | None]
) -> list[int]:
    """Return how many copies must stay: of an optional job that is unserved none."""
    return [
        0 if job.is_optional and not share else job.copies
        for job, share in zip(problem.jobs, shares, strict=True)
    ]


def _filled(
    uses: Sequence[tuple[Configuration, int]], loads: Sequence[dict[int, float]]
) -> list[_EqualBins]:
    return [
        _EqualBins(configuration.bin_type, dict(configuration.counts), load, number)
        for (configuration, number), load in zip(uses, loads, strict=True)
    ]


def _uses_of(bins: Sequence[_EqualBins]) -> list[tuple[Configuration, int]]:
    numbers: dict[Configuration, int] = {}
    for group in bins:
        held = tuple((option, count) for option, count in group.counts.items() if count)
        if held:
            one = Configuration(group.bin_type, held)
            numbers[one] = numbers.get(one, 0) + group.number
    return list(numbers.items())


def _without_spares(
    problem: CapacityProblem,
    uses: Sequence[tuple[Configuration, int]],
    shares: Sequence[float | None],
    least: Sequence[int],
    served: Sequence[Mapping[int, float]],
    deadline: float,
) -> tuple[list[tuple[Configuration, int]], list[dict[int, float]]]:
    """Leave out copies whose service others can give without a higher fill.

    The highest fill comes before the number of copies. One copy after the other is
    tried, in one bin at a time, ``MAX_SPARE_TRIALS`` at most, and none where there
    are more configurations than that.
    """
    kept = list(uses)
    evened = _even_loads(problem, kept, shares, deadline)
    if evened is None:
        return kept, _as_they_are(problem, kept, served)
    loads, worst = evened
    if len(kept) > MAX_SPARE_TRIALS:
        return kept, loads
    vain: set[tuple[Configuration, int]] = set()
    for _ in range(MAX_SPARE_TRIALS):
        untried = [
            (place, option)
            for place, option in _spares(problem, kept, shares, least)
            if (kept[place][0], option) not in vain
        ]
        if not untried or time.perf_counter() >= deadline:
            break
        place, option = untried[0]
        fewer = _with_one_fewer(kept, place, option)
        evened = _even_loads(problem, fewer, shares, deadline)
        if evened is not None and evened[1] <= worst + ROUNDING:
            kept, loads = fewer, evened[0]
        else:
            vain.add((kept[place][0], option))
    return kept, loads


def _as_they_are(
    problem: CapacityProblem,
    uses: Sequence[tuple[Configuration, int]],
    served: Sequence[Mapping[int, float]],
) -> list[dict[int, float]]:
    """Return the loads in one bin of each configuration from what all serve."""
    return [
        {
            index: share
            * (problem.jobs[problem.options[index].job].demand or 0)
            / problem.options[index].rate
            / number
            for index, share in here.items()
        }
        for (_, number), here in zip(uses, served, strict=True)
    ]


def _spares(
    problem: CapacityProblem,
    uses: Sequence[tuple[Configuration, int]],
    shares: Sequence[float | None],
    least: Sequence[int],
) -> list[tuple[int, int]]:
    """Return pairs (configuration, option) of copies that might be left out."""
    copies = [0] * len(problem.jobs)
    rates = [0] * len(problem.jobs)
    for configuration, multiplicity in uses:
        for index, count in configuration.counts:
            option = problem.options[index]
            copies[option.job] += count * multiplicity
            rates[option.job] += count * multiplicity * option.rate
    found = []
    for place, (configuration, _) in enumerate(uses):
        for index, _ in configuration.counts:
            option = problem.options[index]
            job = problem.jobs[option.job]
            wanted = (shares[option.job] or 0.0) * (job.demand or 0)
            if (
                job.demand
                and copies[option.job] > least[option.job]
                and rates[option.job] - option.rate >= wanted * (1 - ROUNDING)
            ):
                found.append((place, index))
    return found


def _with_one_fewer(
    uses: Sequence[tuple[Configuration, int]], place: int, option: int
) -> list[tuple[Configuration, int]]:
    """Return the uses with one copy fewer in one bin of a configuration."""
    configuration, multiplicity = uses[place]
    counts = tuple(
        (index, count - (index == option))
        for index, count in configuration.counts
        if count > (index == option)
    )
    fewer = [*uses[:place], *uses[place + 1 :]]
    if multiplicity > 1:
        fewer.append((configuration, multiplicity - 1))
    fewer.append((Configuration(configuration.bin_type, counts), 1))
    return fewer


def _even_loads(
    problem: CapacityProblem,
    uses: Sequence[tuple[Configuration, int]],
    shares: Sequence[float | None],
    deadline: float,
) -> tuple[list[dict[int, float]], float] | None:
    """Return, per configuration, the load of each option in one bin, in copies.

    And the highest fill, with what is missing at a high price. None where the linear
    program cannot be solved in floating point.
    """
    from ortools.linear_solver import pywraplp

    lp = pywraplp.Solver.CreateSolver("GLOP")
    highest = lp.NumVar(0, lp.infinity(), "")
    objective = lp.Objective()
    objective.SetMinimization()
    objective.SetCoefficient(highest, 1)
    # Each counts in all that it can be: rates far apart must not make coefficients so.
    variables: list[dict[int, tuple[pywraplp.Variable, float]]] = []
    served: dict[int, list[tuple[float, pywraplp.Variable]]] = {}
    for configuration, multiplicity in uses:
        here: dict[int, tuple[pywraplp.Variable, float]] = {}
        capacity = problem.bin_types[configuration.bin_type].capacity
        left = fixed_room_left(problem, configuration)
        for index, count in configuration.counts:
            option = problem.options[index]
            # What a job gets is at most what is of use: of a small share, too.
            share_of_job = min(1.0, shares[option.job] or 0.0)
            wanted = share_of_job * (problem.jobs[option.job].demand or 0)
            if wanted:
                full = min(float(count), wanted / option.rate / multiplicity)
                share = full * option.rate * multiplicity / wanted
                if share > NEGLIGIBLE:
                    y = lp.NumVar(0, 1, "")
                    here[index] = y, full
                    served.setdefault(option.job, []).append((share, y))
        for dimension, most in enumerate(capacity):
            sizes = [
                (y, problem.options[index].proportional[dimension] * full)
                for index, (y, full) in here.items()
                if problem.options[index].proportional[dimension]
            ]
            if not sizes:
                continue
            # What is fixed weighs as it is: fill = (capacity - left + load) / capacity.
            within = lp.RowConstraint(-lp.infinity(), left[dimension] / most, "")
            even = lp.RowConstraint(-lp.infinity(), left[dimension] / most - 1, "")
            even.SetCoefficient(highest, -1)
            for y, size in sizes:
                if size / most > NEGLIGIBLE:
                    within.SetCoefficient(y, size / most)
                    even.SetCoefficient(y, size / most)
        variables.append(here)
    for terms in served.values():
        # The program that chose the bins rounds differently: what is missing to its
        # share is made as little as can be.
        row = lp.RowConstraint(1.0, 1.0, "")
        for factor, y in terms:
            row.SetCoefficient(y, factor)
        missing = lp.NumVar(0, 1, "")
        row.SetCoefficient(missing, 1)
        objective.SetCoefficient(missing, 1e4)
    if not solve_linear(lp, deadline=deadline):
        return None
    return [
        {
            index: max(0.0, y.solution_value() * full)
            for index, (y, full) in here.items()
        }
        for here in variables
    ], float(objective.Value())


def _drop_idle(
    problem: CapacityProblem,
    bins: Sequence[_EqualBins],
    shares: Sequence[float | None],
    whole_copies: Sequence[int],
    least: Sequence[int],
) -> tuple[list[_EqualBins], bool]:
    """Take out copies that nothing needs; return the bins, and if there were any.

    From the last bin to the first; whole copies, whose load goes with them, from the
    fullest. Bins that hold the same are parted only where some lose what others keep.
    """
    num_bins = sum(group.number for group in bins)
    placed = [0] * len(problem.options)
    spare_of_job = [-number for number in least]
    for group in bins:
        for option, count in group.counts.items():
            spare_of_job[problem.options[option].job] += count * group.number
            placed[option] += count * group.number
    spare_of_option = [
        count - wanted for count, wanted in zip(placed, whole_copies, strict=True)
    ]
    order = list(reversed(range(len(bins))))
    if any(
        spare > 0 and problem.jobs[problem.options[option].job].is_whole
        for option, spare in enumerate(spare_of_option)
    ):
        order.sort(key=lambda place: -_fill(problem, bins[place]))
    parts: list[list[_EqualBins]] = [[] for _ in bins]
    is_less = False
    for place in order:
        group, left = bins[place], bins[place].number
        while left:
            idle: dict[int, int] = {}
            taken_of_job: dict[int, int] = {}
            num_alike = left
            for option in sorted(group.counts, reverse=True):
                count = group.counts[option]
                index = problem.options[option].job
                job = problem.jobs[index]
                if job.is_whole:
                    most, spare = count, spare_of_option[option]
                    taken = max(0, min(most, spare))
                    if taken:
                        num_alike = min(num_alike, max(1, spare // most))
                else:
                    copies = group.loads.get(option, 0.0)
                    needed = math.ceil(copies - ROUNDING)
                    share = copies * problem.options[option].rate / (job.demand or 1)
                    if share > ROUNDING * (shares[index] or 0.0) / num_bins:
                        # Little of a copy, but not little of what the job gets.
                        needed = max(1, needed)
                    most = count - needed
                    spare = spare_of_job[index] - taken_of_job.get(index, 0)
                    taken = max(0, min(most, spare))
                    taken_of_job[index] = taken_of_job.get(index, 0) + taken
                idle[option] = taken
            for index, taken in taken_of_job.items():
                if taken:
                    # As many bins as can lose so much; the next may lose less.
                    num_alike = min(num_alike, max(1, spare_of_job[index] // taken))
            for option, taken in idle.items():
                spare_of_option[option] -= taken * num_alike
            for index, taken in taken_of_job.items():
                spare_of_job[index] -= taken * num_alike
            is_less |= any(idle.values())
            counts = {
                option: count - idle[option] for option, count in group.counts.items()
            }
            parts[place].append(replace(group, counts=counts, number=num_alike))
            left -= num_alike
    return [part for here in parts for part in reversed(here)], is_less


def _fill(problem: CapacityProblem, group: _EqualBins) -> float:
    """Return the highest fill of one of these bins, as a share of its capacity."""
    used = [0.0] * problem.num_dimensions
    for index, count in group.counts.items():
        option = problem.options[index]
        for dimension, size in enumerate(option.fixed):
            used[dimension] += size * count
        for dimension, size in enumerate(option.proportional):
            used[dimension] += size * group.loads.get(index, 0.0)
    capacity = problem.bin_types[group.bin_type].capacity
    return max(
        (have / most for have, most in zip(used, capacity, strict=True) if most),
        default=0.0,
    )
