"""What a capacity program can minimize or maximize, and about how large it is.

Programs in floating point tell a billionth of what is around 1 apart: every measure is
counted in about the most that it can be.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

from gpupack.packing.capacity.relaxing.cost_rows import cost_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.packing.capacity.model import CapacityProblem, Configuration


class Measure(StrEnum):
    """What can be minimized or maximized."""

    COST = "cost"
    BINS = "bins"
    SERVICE = "service"
    SHARE = "share"

    @property
    def is_maximized(self) -> bool:
        """Whether more is better."""
        return self in {Measure.SERVICE, Measure.SHARE}


def scales(
    problem: CapacityProblem, reach: Sequence[float], options: Iterable[int]
) -> dict[Measure, float]:
    """Return what each measure is divided by: about as large as it can be.

    Args:
        problem: What is planned.
        reach: Per job, the share of its demand that it can get at most.
        options: Of whole jobs, that some configuration has.
    """
    terms = [
        job.weight * job.demand * share
        for job, share in zip(problem.jobs, reach, strict=True)
        if job.demand
    ]
    for index in options:
        option = problem.options[index]
        job = problem.jobs[option.job]
        terms.append(job.weight * job.copies * option.rate)
    required = [
        share
        for job, share in zip(problem.jobs, reach, strict=True)
        if job.demand and not job.is_optional
    ]
    return {
        Measure.COST: cost_unit(problem),
        Measure.BINS: 1.0,
        Measure.SERVICE: max(terms, default=0.0) or 1.0,
        Measure.SHARE: min(required, default=1.0) or 1.0,
    }


def reaches(
    problem: CapacityProblem, configurations: Sequence[Configuration]
) -> list[float]:
    """Return the share of its demand that each job can get at most, if it got all.

    Of jobs without a demand, and those that can get nothing, 1.
    """
    reach = [0.0] * len(problem.jobs)
    best: dict[tuple[int, int], float] = {}
    for configuration in configurations:
        here: dict[int, float] = {}
        for index, count in configuration.counts:
            option = problem.options[index]
            demand = problem.jobs[option.job].demand
            if demand:
                share = count * problem.rate_alone(index) / demand
                here[option.job] = here.get(option.job, 0.0) + share
        for job, share in here.items():
            key = configuration.bin_type, job
            best[key] = max(best.get(key, 0.0), share)
    for (bin_type, job), share in best.items():
        one = problem.bin_types[bin_type]
        most: float = math.inf if one.count is None else one.count
        if problem.budget is not None and one.cost:
            most = min(most, problem.budget // one.cost)
        reach[job] += share * most if most else 0.0
    return [min(1.0, one) or 1.0 for one in reach]


def service_scale(problem: CapacityProblem) -> float:
    """Return the largest weighted service of any job, or 1, to scale programs by."""
    scale = 0.0
    for index, job in enumerate(problem.jobs):
        if job.demand is not None:
            scale = max(scale, job.weight * job.demand)
            continue
        for option in problem.options_by_job[index]:
            scale = max(scale, job.weight * job.copies * problem.options[option].rate)
    return scale or 1.0


def most_service(problem: CapacityProblem) -> float:
    """Return the weighted service of every demand in full and every best option."""
    total = 0.0
    for index, job in enumerate(problem.jobs):
        if job.demand is not None:
            total += job.weight * job.demand
            continue
        rates = [problem.options[i].rate for i in problem.options_by_job[index]]
        total += job.weight * job.copies * max(rates, default=0)
    return total
