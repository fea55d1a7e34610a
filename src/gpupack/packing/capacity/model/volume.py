"""A bound on the cost of bins from room alone, in one pass over the options.

A bin of type t costs its price, so whatever takes a share of its room takes that share
of its price, in every dimension and in every mixture of dimensions. No plan is cheaper
than the sum, over jobs, of the cheapest ways to take room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gpupack.packing.capacity.model.capacity_problem import CapacityProblem, Goal

SAFETY = 2e-6
"""Relative: a plan may serve so much less than a demand, and sums are rounded."""


def plan_volume_bound(problem: CapacityProblem, goal: Goal) -> float:
    """Return a cost that no plan which serves every demand in full goes below.

    The best of as many mixtures as there are dimensions and one more: each dimension
    alone, and all alike. And no less than the cheapest bin that holds a copy of a job,
    of whichever job that is dearest: what takes no room needs a bin, too.

    References:
        Martello and Toth, "Knapsack Problems", 1990, chapter 8: bound L1.
    """
    num_options, num_dimensions = len(problem.options), problem.num_dimensions
    if not num_options:
        return 0.0
    bin_type = np.array([one.bin_type for one in problem.options])
    capacity = np.array([one.capacity for one in problem.bin_types], dtype=float)
    prices = np.array(problem.prices(goal), dtype=float)[bin_type]
    # What has no room takes none: such an option fits only if it needs nothing there.
    room = np.maximum(capacity, 1.0)[bin_type]
    shape = num_options, num_dimensions
    fixed = np.array([one.fixed for one in problem.options], dtype=float).reshape(shape)
    loaded = np.array(
        [one.proportional for one in problem.options], dtype=float
    ).reshape(shape)
    rate = np.array([one.rate for one in problem.options], dtype=float)
    mixtures = np.vstack(
        [np.eye(num_dimensions), np.full((1, num_dimensions), 1 / num_dimensions)]
    )
    # One row per option, one column per mixture.
    of_copy = prices[:, None] * (fixed / room) @ mixtures.T
    of_rate = prices[:, None] * (loaded / room) @ mixtures.T
    total = np.zeros(len(mixtures))
    of_one_bin = 0.0
    for index, job in enumerate(problem.jobs):
        options = list(problem.options_by_job[index])
        if job.is_optional or not options:
            continue
        of_one_bin = max(of_one_bin, float(prices[options].min()))
        copies = of_copy[options].min(axis=0) * job.copies
        if job.demand:
            rates = rate[options][:, None]
            needed = -(-job.demand * (1 - SAFETY) // rates.max())
            copies = of_copy[options].min(axis=0) * max(job.copies, needed)
            served = copies + job.demand * (of_rate[options] / rates).min(axis=0)
            whole = (of_copy[options] + of_rate[options]) / rates
            copies = np.maximum(served, job.demand * whole.min(axis=0))
        total += copies
    return max(of_one_bin, float(total.max() * (1 - SAFETY)))
