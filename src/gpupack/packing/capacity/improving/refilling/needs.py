"""What local search can fill bins with, and what the needs of jobs are worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.model import Goal, useful_options
from gpupack.packing.kernels.capacity import refilling as kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem
    from gpupack.packing.capacity.relaxing import Guide

    Array = NDArray[np.float64]

MISSING_COPY = 3.0
"""Loss per copy that must be there, in bins' worths, where service is the goal."""
SMALLEST_WORTH = 1e-3
"""Worth of a need that costs nothing, as a share of the largest."""
ROOM_PRICE = 0.05
"""Of a bin's price, for all its room in full, where the cost of a need is its worth."""
MANY = 1 << 40
ROUNDING = 1e-13


class Needs:
    """What jobs need, what that is worth, and what meets it.

    Args:
        problem: What is planned.
        goal: What is lost: needs of jobs that must be served, or weighted service.
        demand_factor: Share of every demand to be met.
    """

    def __init__(
        self, problem: CapacityProblem, goal: Goal, demand_factor: float
    ) -> None:
        self._problem = problem
        self._goal = goal
        self._factor = demand_factor

    def choices(
        self, guide: Guide, counts: Sequence[int], emphasis: Array
    ) -> kernels.Choices:
        """Return what bins can be filled with.

        Args:
            guide: Prices.
            counts: Bins of each type that are filled.
            emphasis: Per job, what its need is worth, in worths.
        """
        problem = self._problem
        scale = np.array([one.capacity for one in problem.bin_types], dtype=float)
        scale[scale == 0] = 1.0
        types = np.array([one.bin_type for one in problem.options])
        options: list[int] = []
        starts = [0]
        for bin_type in range(len(problem.bin_types)):
            options.extend(self._frugal_options(guide, bin_type))
            starts.append(len(options))
        jobs = problem.jobs
        worth, must, bonus = self._worths(guide)
        if self._goal.is_in_full:
            worth = np.maximum(worth, self._costs_with_room(guide, counts))
        worth *= emphasis
        average = max(worth.sum(), bonus.max(initial=0.0)) / max(1, sum(counts))
        must[~np.isfinite(must)] = MISSING_COPY * average
        capacity = np.array([one.capacity for one in problem.bin_types], dtype=float)
        weights = np.array(guide.weights, dtype=float)
        weights += 1e-3 * max(weights.max(), 1e-9)
        return kernels.Choices(
            bin_type=np.repeat(np.arange(len(counts)), counts),
            capacity=capacity / scale,
            weights=weights,
            options=np.array(options, dtype=np.int64),
            starts=np.array(starts, dtype=np.int64),
            job=np.array([one.job for one in problem.options], dtype=np.int64),
            # Sizes that are whole fit exactly: rounding may not keep them out.
            fixed=np.array([one.fixed for one in problem.options], dtype=float)
            / scale[types]
            * (1 - ROUNDING),
            loaded=np.array([one.proportional for one in problem.options], dtype=float)
            / scale[types],
            gain=np.array([self.gain(index) for index in range(len(problem.options))]),
            bonus=bonus,
            worth=worth,
            must=must,
            least=np.array(
                [0 if job.is_optional else job.copies for job in jobs], dtype=np.int64
            ),
            most=np.array(
                [
                    job.copies
                    if job.is_whole
                    else MANY
                    if job.max_copies is None
                    else job.max_copies
                    for job in jobs
                ],
                dtype=np.int64,
            ),
            whole=np.array([job.is_whole for job in jobs]),
        )

    def _frugal_options(self, guide: Guide, bin_type: int) -> list[int]:
        """Return useful options but those that another beats in all that is short.

        A dimension without a price is not short. What is beaten is seldom of use, and
        to look at it takes time at every step.
        """
        useful = useful_options(self._problem, bin_type)
        if not self._goal.is_in_full:
            return list(useful)
        short = [d for d, price in enumerate(guide.weights[bin_type]) if price > 0]
        of_job: dict[int, dict[tuple[float, ...], int]] = {}
        for index in useful:
            option, gain = self._problem.options[index], self.gain(index)
            sizes: tuple[float, ...] = (-min(1.0, gain),)
            for d in short:
                load = option.proportional[d]
                sizes += (option.fixed[d], load / gain if gain else load)
            of_job.setdefault(option.job, {}).setdefault(sizes, index)
        return [
            index
            for options in of_job.values()
            for sizes, index in options.items()
            if not any(
                all(a <= b for a, b in zip(other, sizes, strict=True))
                for other in options
                if other != sizes
            )
        ]

    def _costs_with_room(self, guide: Guide, counts: Sequence[int]) -> Array:
        """Return the least that needs cost, room in full at a price, 0 if unknown.

        Where memory is plenty the relaxation gives it none. Then annealing leaves out
        what takes most of it, which no gap has room for in the end.
        """
        problem = self._problem
        costs = np.zeros(len(problem.jobs))
        for job, options in enumerate(problem.options_by_job):
            if problem.jobs[job].demand:
                costs[job] = min(
                    (
                        self._cost_with_room(guide, index)
                        for index in options
                        if counts[problem.options[index].bin_type]
                    ),
                    default=0.0,
                )
        return costs

    def _cost_with_room(self, guide: Guide, index: int) -> float:
        """Return what it costs to serve all of a job by one option."""
        option, gain = self._problem.options[index], self.gain(index)
        prices = guide.weights[option.bin_type]
        capacity = self._problem.bin_types[option.bin_type].capacity
        copies = math.ceil(1 / gain)
        cost = largest = 0.0
        for price, fixed, load, room in zip(
            prices, option.fixed, option.proportional, capacity, strict=True
        ):
            if room:
                cost += price * (copies * fixed + load / gain) / room
                largest = max(largest, fixed / room)
        return cost + ROOM_PRICE * sum(prices) * copies * largest

    def gain(self, index: int) -> float:
        """Return the share of its job's need that a copy of an option meets."""
        option = self._problem.options[index]
        job = self._problem.jobs[option.job]
        if job.demand is None:
            return 1.0 / job.copies
        return option.rate / (job.demand * self._factor) if job.demand else 0.0

    def _worths(self, guide: Guide) -> tuple[Array, Array, Array]:
        """Return the worths of needs, of copies that must be there, of options."""
        problem, duals = self._problem, guide.duals
        bonus = np.zeros(len(problem.options))
        if self._goal is Goal.MAX_SERVICE:
            worth = np.array([job.weight * (job.demand or 0) for job in problem.jobs])
            for index, option in enumerate(problem.options):
                if problem.jobs[option.job].is_whole:
                    bonus[index] = problem.jobs[option.job].weight * option.rate
            return worth, np.full(len(problem.jobs), math.inf), bonus
        worth = np.array(duals.service)
        must = np.array(duals.copies)
        for index, job in enumerate(problem.jobs):
            if job.is_whole:
                options = problem.options_by_job[index]
                worth[index] = job.copies * max(
                    (duals.option[one] for one in options), default=0.0
                )
            elif job.demand and job.copies == 1:
                must[index] = 0.0  # its service implies it
        floor = SMALLEST_WORTH * max(worth.max(), must.max(), 1e-9)
        for index, job in enumerate(problem.jobs):
            worth[index] = max(worth[index], floor) if job.demand != 0 else 0.0
            if not job.is_whole and (job.copies > 1 or not job.demand):
                must[index] = max(must[index], floor)
            if job.is_optional:
                worth[index] = 0.0
        return worth, must, bonus
