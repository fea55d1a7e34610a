"""The same bins with fewer copies: of equally good plans, one that is easier to run.

A plan may share out a demand over many copies, some of which serve next to nothing.
Without a rule of who may share a bin, and for few bins, the plain model asks for the
fewest copies, and of those plans for few copies beside another of their job, which one
failing bin takes along. Copies are then taken out one by one, those that serve least
first, as long as the others can serve what they did, and copies beside another of their
job are moved to bins without. Plans of thousands of fillings stay as they are.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.cpus import count_usable_cpus
from gpupack.errors import CheckError
from gpupack.packing.capacity.improving import (
    AssignmentModel,
    Clock,
    Completion,
    is_worth_it,
)
from gpupack.packing.capacity.model import (
    Configuration,
    Goal,
    check_plan,
    fixed_room_left,
)
from gpupack.packing.runtime import NO_MEMORY, fitting_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpupack.packing.capacity.model import (
        CapacityPlan,
        CapacityProblem,
        Counts,
        FilledBin,
    )

    Uses = tuple[tuple[Configuration, int], ...]

LEAST_LIMIT_S = 0.1
"""Beyond the time limit, where that is used up."""
LIMIT_SHARE = 0.2
"""Of the time limit, for taking out and moving copies one by one."""
MOST_FILLINGS = 2_000
"""Different fillings up to which copies are taken out one by one: whether one may go is
a linear program over all of them, and of 10,000 fillings one such takes seconds."""
MODEL_SHARE = 0.6
"""Of the time limit, for the plain model at most: so much that its effort ends it."""
MODEL_EFFORT = 0.4
"""CP-SAT's deterministic time for the plain model, some 0.8 s: not the clock but the
work that was done decides among plans of equal value, on a busy machine as well."""


def with_fewer_copies(
    problem: CapacityProblem,
    goal: Goal,
    plan: CapacityPlan,
    *,
    time_limit_s: float,
    seed: int = 0,
    num_workers: int | None = None,
) -> CapacityPlan:
    """Return a plan of the same value with no more copies, and fewer where found.

    Neither the number of bins nor their cost nor what jobs of whole copies yield gets
    worse. Plans whose goal is service stay as they are, and so do those of more than
    ``MOST_FILLINGS`` different fillings.

    Args:
        problem: What was planned.
        goal: What is best.
        plan: The plan.
        time_limit_s: That is left for the plan, or 0.1 s if that is less: three fifths
            of it at most for the plain model, which seldom takes a second, and a fifth
            for the copies one by one.
        seed: For every random choice.
        num_workers: Threads; as many as cores may be used if None.
    """
    if not plan.is_found or not goal.is_in_full or len(plan.bins) > MOST_FILLINGS:
        return plan
    least = _least_copies(problem, plan.bins)
    if _rank(problem, plan.bins) <= (least, 0):
        return plan
    limit_s = max(LEAST_LIMIT_S, time_limit_s)
    clock = Clock(time.perf_counter(), limit_s)
    completion = Completion(problem, goal, clock, seed=seed, target_gap=0.0)
    bins = plan.bins
    if is_worth_it(problem, goal, round(plan.value)):
        model = AssignmentModel(
            problem, goal, max_value=round(plan.value), lower_bound=0
        )
        model.ask_for_fewest_copies(bins)
        try:
            found = model.solve(
                time_limit_s=MODEL_SHARE * limit_s,
                effort=MODEL_EFFORT,
                seed=seed,
                num_workers=fitting_threads(num_workers or count_usable_cpus()),
            )
        except MemoryError:
            return replace(plan, warnings=(*plan.warnings, NO_MEMORY))
        if found.uses is not None:
            fewer = _filled(problem, completion, found.uses)
            if fewer and _rank(problem, fewer) < _rank(problem, bins):
                bins = fewer
    clock.limit_s = max(LEAST_LIMIT_S, clock.spent_s + LIMIT_SHARE * limit_s)
    bins = _thinned_out(problem, completion, bins, least, clock)
    bins = _spread_out(problem, completion, bins, clock)
    return plan if bins is plan.bins else replace(plan, bins=bins)


def _num_copies(problem: CapacityProblem, bins: Sequence[FilledBin]) -> int:
    """Return the number of copies of jobs with a demand."""
    return sum(
        group.num_copies * one.multiplicity
        for one in bins
        for group in one.copies
        if not problem.jobs[problem.options[group.option].job].is_whole
    )


def _rank(problem: CapacityProblem, bins: Sequence[FilledBin]) -> tuple[int, int]:
    """Return the number of copies, and of those beside another of their job."""
    beside = sum(
        (number - 1) * one.multiplicity
        for one in bins
        for number in _held(problem, one.counts).values()
    )
    return _num_copies(problem, bins), beside


def _held(problem: CapacityProblem, counts: Counts) -> dict[int, int]:
    """Return the copies of each job with a demand in a bin."""
    held: dict[int, int] = {}
    for option, number in counts:
        job = problem.options[option].job
        if not problem.jobs[job].is_whole:
            held[job] = held.get(job, 0) + number
    return held


def _least_copies(problem: CapacityProblem, bins: Sequence[FilledBin]) -> int:
    """Return a number of copies below which no plan of these jobs is."""
    there = {problem.options[group.option].job for one in bins for group in one.copies}
    total = 0
    for index in there:
        job = problem.jobs[index]
        if job.demand is None:
            continue
        fastest = max(problem.options[i].rate for i in problem.options_by_job[index])
        total += max(job.copies, -(-job.demand // fastest))
    return total


def _thinned_out(
    problem: CapacityProblem,
    completion: Completion,
    bins: tuple[FilledBin, ...],
    least: int,
    clock: Clock,
) -> tuple[FilledBin, ...]:
    """Return the bins without copies that the others can do without."""
    in_vain: set[tuple[Configuration, int]] = set()
    while _num_copies(problem, bins) > least:
        for one, option in _by_service(problem, bins):
            if clock.is_over:
                return bins
            configuration = Configuration(one.bin_type, one.counts)
            if (configuration, option) in in_vain:
                continue
            fewer = _filled(problem, completion, _without(bins, configuration, option))
            if fewer:
                bins = fewer
                break
            # With less elsewhere there will be no more room for it either.
            in_vain.add((configuration, option))
        else:
            return bins
    return bins


def _spread_out(
    problem: CapacityProblem,
    completion: Completion,
    bins: tuple[FilledBin, ...],
    clock: Clock,
) -> tuple[FilledBin, ...]:
    """Return the bins with copies moved away from others of their job, where they can.

    To a bin of the same type that holds none of it and has the fixed room.
    """
    in_vain: set[tuple[Configuration, int, Configuration]] = set()
    while _rank(problem, bins)[1]:
        for source, option, target in _moves_apart(problem, bins):
            if clock.is_over:
                return bins
            if (source, option, target) in in_vain:
                continue
            in_vain.add((source, option, target))
            uses = _without(bins, source, option)
            moved = _filled(problem, completion, _with_one_more(uses, target, option))
            if moved:
                bins = moved
                break
        else:
            return bins
    return bins


def _moves_apart(
    problem: CapacityProblem, bins: Sequence[FilledBin]
) -> Iterator[tuple[Configuration, int, Configuration]]:
    """Yield bins with an option of which a copy could go elsewhere, and where to."""
    distinct = list(
        dict.fromkeys(Configuration(one.bin_type, one.counts) for one in bins)
    )
    for source in distinct:
        held = _held(problem, source.counts)
        for option, _ in source.counts:
            job = problem.options[option].job
            if held.get(job, 0) < 2:
                continue
            fixed = problem.options[option].fixed
            for target in distinct:
                if (
                    target.bin_type == source.bin_type
                    and job not in _held(problem, target.counts)
                    and all(
                        size <= room
                        for size, room in zip(
                            fixed, fixed_room_left(problem, target), strict=True
                        )
                    )
                ):
                    yield source, option, target


def _with_one_more(uses: Uses, target: Configuration, option: int) -> Uses:
    """Return the configurations of bins, one of them with a copy more."""
    found = dict(uses)
    found[target] -= 1
    counts = dict(target.counts)
    counts[option] = counts.get(option, 0) + 1
    fuller = Configuration(target.bin_type, tuple(sorted(counts.items())))
    found[fuller] = found.get(fuller, 0) + 1
    return tuple(sorted((one, number) for one, number in found.items() if number))


def _by_service(
    problem: CapacityProblem, bins: Sequence[FilledBin]
) -> Iterator[tuple[FilledBin, int]]:
    """Yield bins and options of which a copy could go, the least service first."""
    copies = [0] * len(problem.jobs)
    for one in bins:
        for group in one.copies:
            job = problem.options[group.option].job
            copies[job] += group.num_copies * one.multiplicity
    candidates = [
        (group.service / group.num_copies / problem.options[group.option].rate, n, one)
        for n, one in enumerate(bins)
        for group in one.copies
        if _may_go(problem, group.option, copies)
    ]
    for _, _, one in sorted(candidates, key=lambda entry: entry[:2]):
        for option, _ in one.counts:
            if _may_go(problem, option, copies):
                yield one, option


def _may_go(problem: CapacityProblem, option: int, copies: Sequence[int]) -> bool:
    index = problem.options[option].job
    job = problem.jobs[index]
    return not job.is_whole and copies[index] > job.copies


def _without(
    bins: Sequence[FilledBin], configuration: Configuration, option: int
) -> Uses:
    """Return the configurations of bins, one of them with a copy less."""
    uses: dict[Configuration, int] = {}
    for one in bins:
        key = Configuration(one.bin_type, one.counts)
        uses[key] = uses.get(key, 0) + one.multiplicity
    uses[configuration] -= 1
    counts = tuple(
        (index, number - (index == option))
        for index, number in configuration.counts
        if number > (index == option)
    )
    if counts:
        thinner = Configuration(configuration.bin_type, counts)
        uses[thinner] = uses.get(thinner, 0) + 1
    return tuple(sorted((one, number) for one, number in uses.items() if number))


def _filled(
    problem: CapacityProblem, completion: Completion, uses: Uses
) -> tuple[FilledBin, ...]:
    """Return the checked plan of exactly these configurations, empty if none."""
    if not all(problem.is_allowed(one.bin_type, one.counts) for one, _ in uses):
        return ()
    bins = completion.fill(uses)
    if not bins:
        return ()
    try:
        check_plan(problem, bins, in_full=True)
    except CheckError:
        return ()  # a linear program in floating point may serve a hair too little
    return bins
