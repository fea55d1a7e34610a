"""What goals ask of a plan: their value, their ties, what they make of a problem."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Goal
from gpupack.packing.capacity.relaxing.bin_counts import most_bins
from gpupack.packing.capacity.relaxing.measures import Measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model import CapacityProblem, FilledBin

FLOAT_ERROR = Fraction(1, 10**9)
"""Relative, of values that programs in floating point prove: they are solved to it."""
MEASURES = {
    Goal.MIN_BINS: (Measure.BINS, Measure.COST, Measure.SERVICE),
    Goal.MIN_COST: (Measure.COST, Measure.BINS, Measure.SERVICE),
    Goal.MAX_SERVICE: (Measure.SERVICE, Measure.COST, Measure.BINS),
    Goal.MAX_MIN_SHARE: (Measure.SHARE, Measure.SERVICE, Measure.COST, Measure.BINS),
}
"""What a goal asks for, and how its ties are broken, in order."""


def measured_value(
    problem: CapacityProblem, goal: Goal, bins: Sequence[FilledBin]
) -> float:
    """Return what a plan is worth for a goal, from its bins alone."""
    if goal.is_in_full:
        prices = problem.prices(goal)
        return float(sum(prices[one.bin_type] * one.multiplicity for one in bins))
    served = [0.0] * len(problem.jobs)
    for one in bins:
        for group in one.copies:
            job = problem.options[group.option].job
            served[job] += group.service * one.multiplicity
    if goal is Goal.MAX_SERVICE:
        return math.fsum(
            job.weight * service
            for job, service in zip(problem.jobs, served, strict=True)
        )
    return min(
        service / job.demand
        for job, service in zip(problem.jobs, served, strict=True)
        if job.demand and not job.is_optional
    )


def everything(problem: CapacityProblem, goal: Goal) -> CapacityProblem:
    """Return the problem in which every job must have the best there is for it."""
    if goal is Goal.MAX_MIN_SHARE:
        return problem
    jobs = tuple(replace(job, is_optional=False) for job in problem.jobs)
    best = {
        index: max(
            (problem.options[i].rate for i in problem.options_by_job[index]), default=0
        )
        for index, job in enumerate(jobs)
        if job.is_whole
    }
    # The others stay, so that indices mean the same, but fit into no bin.
    options = tuple(
        option
        if option.rate >= best.get(option.job, 0)
        else replace(
            option,
            fixed=tuple(
                most + 1 for most in problem.bin_types[option.bin_type].capacity
            ),
        )
        for option in problem.options
    )
    return replace(problem, jobs=jobs, options=options)


def all_idle(problem: CapacityProblem) -> CapacityProblem:
    """Return the problem of the copies that must be there, none of which serves."""
    jobs = tuple(
        job if job.demand is None else replace(job, demand=0) for job in problem.jobs
    )
    return replace(problem, jobs=jobs)


def counted(problem: CapacityProblem, goal: Goal) -> CapacityProblem:
    """Return the problem with a count for every bin type where service is the goal.

    As many bins as there could be copies are as good as any number of them.
    """
    if goal.is_in_full:
        return problem
    return replace(
        problem,
        bin_types=tuple(
            replace(one, count=most)
            for one, most in zip(problem.bin_types, most_bins(problem), strict=True)
        ),
    )


def rounded_bound(problem: CapacityProblem, goal: Goal, bound: float) -> float:
    """Round a bound on the cost up to a sum that costs can have."""
    if not goal.is_in_full:
        return bound
    if math.isinf(bound):
        return 0.0
    step = math.gcd(*problem.prices(goal))
    if step == 0:
        return max(0.0, bound)
    return float(max(0, rounded_up(bound, step)))


def rounded_up(bound: float, step: int) -> int:
    """Return the least multiple of a step that a bound in floating point proves.

    The bound may be off by ``FLOAT_ERROR`` of itself: of a million bins, or of prices
    a millionth apart, that can be more than a step, which is then not claimed.

    Args:
        bound: No value is lower, but for rounding.
        step: Values are multiples of it, ≥ 1.
    """
    exact = Fraction(bound)
    slack = max(Fraction(step, 10**6), abs(exact) * FLOAT_ERROR)
    return math.ceil((exact - slack) / step) * step
