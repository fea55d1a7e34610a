"""Service shared out anew: more of it in the same copies, never more than there is."""

import random

import numpy as np
import pytest

from gpupack.packing.capacity.many_jobs import OptionArrays, SlackPlan
from gpupack.packing.capacity.many_jobs.service_sharing import shared_anew
from gpupack.packing.capacity.model import BinType, CapacityProblem, Job, Option

PRICES = np.array([1])


def problem_of(jobs):
    """Return jobs with one option each: a tenth of a bin in full, 10 units fill it."""
    return CapacityProblem(
        (BinType((10, 10)),),
        tuple(jobs),
        tuple(
            Option(index, 0, (1, 0), (0, 0 if job.is_whole else 10), 10)
            for index, job in enumerate(jobs)
        ),
    )


def plan_of(*bins):
    """Return bins of pairs: a job, and what its copy serves."""
    return SlackPlan(
        len(bins),
        np.zeros(len(bins), dtype=np.int64),
        np.ones(len(bins), dtype=np.int64),
        np.cumsum([len(one) for one in bins]),
        np.array([job for one in bins for job, _ in one]),
        np.array([float(service) for one in bins for _, service in one]),
    )


def shared(problem, plan):
    options = OptionArrays.of(problem)
    return shared_anew(plan, options, np.ones(len(problem.jobs)), PRICES)


def test_what_a_bin_has_left_takes_over_where_another_lacks_room():
    problem = problem_of([Job(demand=10), Job(demand=10)])
    plan = plan_of([(0, 5)], [(0, 5), (1, 5)])
    found = shared(problem, plan)
    # The first job is served by the first bin alone; its other copy is taken out.
    assert found.option.tolist() == [0, 1]
    assert found.end.tolist() == [1, 2]
    assert found.service == pytest.approx([10, 10], rel=1e-6)


def test_bins_whose_copies_nobody_needs_are_left_out():
    problem = problem_of([Job(demand=4), Job(demand=6)])
    plan = plan_of([(0, 2), (1, 6)], [(0, 2)])
    found = shared(problem, plan)
    assert found.service.sum() == 10
    assert found.cost == len(found.end) <= 2


@pytest.mark.parametrize(
    "job", [Job(demand=10, copies=2), Job(demand=10, max_copies=2), Job(copies=2)]
)
def test_jobs_with_numbers_of_copies_stay_as_they_are(job):
    problem = problem_of([job, Job(demand=10)])
    first = 1 if job.is_whole else 5
    plan = plan_of([(0, first)], [(0, first), (1, 2)])
    found = shared(problem, plan)
    room = 10 if job.is_whole else 5
    assert found.option.tolist() == [0, 0, 1]
    assert found.service[:2].tolist() == [first, first]
    assert found.service[2] == pytest.approx(room, rel=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_more_is_served_in_the_same_room(seed):
    rng = random.Random(seed)
    jobs = [Job(demand=rng.randint(5, 40)) for _ in range(8)]
    problem = problem_of(jobs)
    bins = []
    open_need = [job.demand for job in jobs]
    for _ in range(14):
        room, held = 10, []
        for job in rng.sample(range(8), 3):
            service = min(open_need[job], room, rng.randint(0, 6))
            open_need[job] -= service
            room -= service
            held.append((job, service))
        bins.append(held)
    plan = plan_of(*bins)
    found = shared(problem, plan)
    filling = np.repeat(np.arange(len(found.end)), np.diff(found.end, prepend=0))
    served = np.bincount(found.option, found.service, minlength=8)
    assert found.service.sum() >= plan.service.sum() * (1 - 1e-6)
    assert (np.bincount(filling, found.service) <= 10 * (1 + 1e-7)).all()
    assert (served <= [job.demand * (1 + 1e-12) for job in jobs]).all()
    # Needs are met or open, and not open for a rounding.
    left = 1 - served / [job.demand for job in jobs]
    assert not ((left > 1e-12) & (left < 1e-7)).any()
