"""Prices of room in bins, and the bound that they prove: for any number of jobs.

With the room of every bin type priced so that no bin has more of it than it costs, each
job by itself takes the cheapest room that serves it: the Lagrangian relaxation of what
bins hold. Prices are raised by cutting planes in as many variables as there are bin
types times dimensions, however many jobs there are.

References:
    Fisher, "The Lagrangian relaxation method for solving integer programming problems",
    Management Science 27, 1981. Kelley, "The cutting-plane method for solving convex
    programs", Journal of SIAM 8, 1960; kept to a box as in Marsten, Hogan and
    Blankenship, "The boxstep method for large-scale optimization", Operations Research
    23, 1975.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.runtime import solve_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem, Goal

    Array = NDArray[np.float64]
    Integers = NDArray[np.int64]

SAFETY = 2e-6
"""Relative: a plan may serve so much less, or take so much more room."""
MAX_ROUNDS = 40
CLOSE = 1e-4
"""Relative distance from what the cutting planes allow at which prices are good."""
FIRST_STEP, SHORTER = 0.5, 0.6
"""Of a bin's price, by which the price of one dimension moves at most; times so much
after a step in vain."""
UNLIMITED = 2**50
"""Copies or bins where there is no limit."""
NEVER = 1e18
"""Of what an empty place in a row costs, in the dearest bin's price."""


@dataclass(frozen=True)
class OptionArrays:
    """The options that fit into an empty bin, by job and then by bin type.

    A unit of what is needed is one of service, or a copy of jobs that are ``whole``:
    those without a demand, or with one of 0.

    Args:
        index: In the problem.
        job: Index of each one's job.
        bin_type: Index of each one's bin type.
        fixed: Room in full, as shares of a bin: shape (options, dimensions).
        loaded: Room per unit of need, likewise.
        rate: Units at most, whatever room there is.
        need: Of each job.
        is_whole: Whether a job's unit is a copy.
        least: Copies of each job at least.
        limit: Copies of each job at most.
    """

    index: Integers
    job: Integers
    bin_type: Integers
    fixed: Array
    loaded: Array
    rate: Array
    need: Array
    is_whole: NDArray[np.bool_]
    least: Integers
    limit: Integers

    @classmethod
    def of(cls, problem: CapacityProblem) -> OptionArrays:
        """Return those of a problem."""
        jobs = problem.jobs
        index = np.array(
            [
                one
                for of_job in problem.options_by_job
                for one in sorted(of_job, key=lambda i: problem.options[i].bin_type)
            ],
            dtype=np.int64,
        )
        here = [problem.options[one] for one in index]
        job = np.array([one.job for one in here], dtype=np.int64)
        bin_type = np.array([one.bin_type for one in here], dtype=np.int64)
        shape = len(here), problem.num_dimensions
        capacity = np.array([one.capacity for one in problem.bin_types], dtype=float)
        room = np.maximum(capacity, 1.0)[bin_type]
        fixed = np.array([one.fixed for one in here], dtype=float).reshape(shape)
        loaded = np.array([one.proportional for one in here], dtype=float).reshape(
            shape
        )
        rate = np.array([one.rate for one in here], dtype=float)
        is_whole = np.array([not one.demand for one in jobs], dtype=bool)
        rate[is_whole[job]] = 1.0
        loaded[is_whole[job]] = 0.0
        return cls(
            index,
            job,
            bin_type,
            fixed / room,
            loaded / room / rate[:, None],
            rate,
            np.array([float(one.demand or one.copies) for one in jobs]),
            is_whole,
            np.array([one.copies for one in jobs], dtype=np.int64),
            np.array(
                [
                    one.copies
                    if one.is_whole
                    else min(one.max_copies or UNLIMITED, UNLIMITED)
                    for one in jobs
                ],
                dtype=np.int64,
            ),
        )

    def most(self, *, excess: float = 0.0) -> Array:
        """Return the units that one copy serves at most, alone in a bin.

        Args:
            excess: Share of a bin by which what it holds may exceed it.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(
                self.loaded > 0, (1 + excess - self.fixed) / self.loaded, np.inf
            )
        most: Array = np.minimum(self.rate, room.min(axis=1, initial=np.inf))
        return most

    def mix(self, weights: Array, prices: Array) -> Array:
        """Return about how full bins are in each dimension, were jobs put in in parts.

        Args:
            weights: Prices of all the room of a bin, shape (bin types, dimensions).
            prices: Of bins.
        """
        of_option = weights[self.bin_type]
        need = self.need[self.job]
        served = np.minimum(need, self.most())
        per_unit = (self.fixed * of_option).sum(axis=1) / served
        per_unit += (self.loaded * of_option).sum(axis=1)
        best = np.full(len(self.need), np.inf)
        np.minimum.at(best, self.job, per_unit)
        chosen = np.flatnonzero(per_unit <= best[self.job])
        room = self.fixed * (need / served)[:, None] + self.loaded * need[:, None]
        taken = np.zeros(weights.shape)
        np.add.at(taken, self.bin_type[chosen], room[chosen])
        num_bins = (taken * weights).sum(axis=1) / prices
        share = np.ones(weights.shape)
        used = num_bins > 0
        share[used] = np.minimum(1.0, taken[used] / num_bins[used, None])
        return share


@dataclass(frozen=True)
class RoomPrices:
    """What was found.

    Args:
        bound: Proven: no plan that serves every demand in full costs less.
        weights: Prices of all the room of a bin in each dimension, shape (bin types,
            dimensions); those of a type sum up to a bin's price at most.
    """

    bound: float
    weights: Array


class RoomPricing:
    """Prices room for one problem and a goal that serves every demand in full.

    Args:
        problem: What is planned.
        goal: Bins or cost.
        options: Those of the problem.
    """

    def __init__(
        self, problem: CapacityProblem, goal: Goal, options: OptionArrays
    ) -> None:
        self._options = options
        self._prices = np.array(problem.prices(goal), dtype=float)
        self._counts = [one.count for one in problem.bin_types]
        self._num_dimensions = problem.num_dimensions
        self._must = np.array([not one.is_optional for one in problem.jobs])
        self._need = options.need * np.where(options.is_whole, 1.0, 1 - SAFETY)
        num_jobs = len(problem.jobs)
        per_job = np.bincount(options.job, minlength=num_jobs)
        self._width = int(per_job.max(initial=0))
        first = np.concatenate([[0], np.cumsum(per_job)[:-1]])
        self._place = np.arange(len(options.job)) - first[options.job]
        self._has_options = per_job > 0

    @cached_property
    def _most(self) -> Array:
        return self._by_job(self._options.most(excess=SAFETY), 1.0)

    def _by_job(self, values: Array, empty: float) -> Array:
        """Return one row per job, filled up with what an empty place has."""
        rows = np.full((len(self._need), self._width), empty)
        rows[self._options.job, self._place] = values
        return rows

    def best(self) -> RoomPrices:
        """Return the prices with the best bound that few rounds come to."""
        num_types = len(self._prices)
        shape = num_types, self._num_dimensions
        if not len(self._options.index) or not self._num_dimensions:
            return RoomPrices(0.0, np.zeros(shape))
        weights = np.repeat(self._prices[:, None] / shape[1], shape[1], axis=1)
        rents = np.zeros(num_types)
        best, best_weights, best_rents = -math.inf, weights, rents
        planes: list[tuple[Array, float]] = []
        step = FIRST_STEP
        for _ in range(MAX_ROUNDS):
            total, taken = self._cost_of_jobs(weights)
            value = total - self._paid(rents)
            if value > best:
                best, best_weights, best_rents = value, weights, rents
            else:
                step *= SHORTER
            planes.append((taken, total - float((taken * weights).sum())))
            found = self._next(planes, best_weights, best_rents, step)
            if found is None:
                break
            weights, rents, most = found
            if most - best <= CLOSE * abs(best):
                break
        bound = self._bound(best_weights, best_rents)
        return RoomPrices(bound, best_weights)

    def _paid(self, rents: Array) -> float:
        return math.fsum(
            rent * count
            for rent, count in zip(rents, self._counts, strict=True)
            if count is not None
        )

    def _bound(self, weights: Array, rents: Array) -> float:
        """Return the bound of prices, which rounding may have made too high."""
        rents = np.where([one is None for one in self._counts], 0.0, rents)
        total = weights.sum(axis=1)
        fair = (self._prices + rents) / np.maximum(total, 1e-300)
        weights = weights * np.minimum(1.0, fair * (1 - 1e-12))[:, None]
        cost, _ = self._cost_of_jobs(weights, is_close=True)
        return cost * (1 - SAFETY) - self._paid(rents) * (1 + 1e-12)

    def _cost_of_jobs(
        self, weights: Array, *, is_close: bool = False
    ) -> tuple[float, Array]:
        """Return what jobs cost at least, and the room that they take for it.

        A copy costs its room in full and that of what it serves. Of the copies of a
        job all but one serve what they can: so the cheapest way starts with a copy
        that serves all, or with a full one, and the rest costs no less than in
        proportion at the best rate.

        Args:
            weights: Prices of room, shape (bin types, dimensions).
            is_close: Whether to look at the second copy, too; of what is taken then
                only the price is right.
        """
        options = self._options
        of_option = weights[options.bin_type]
        dear = NEVER * max(1.0, float(self._prices.max()))
        cost = self._by_job((options.fixed * of_option).sum(axis=1), dear)
        unit = self._by_job((options.loaded * of_option).sum(axis=1), 0.0)
        full = cost + unit * self._most
        rows = np.arange(len(self._need))
        at_best = (full / self._most).argmin(axis=1)
        per_unit = (full / self._most)[rows, at_best]

        def of_need(need: Array, some: NDArray[np.int64]) -> Array:
            served = np.minimum(need[:, None], self._most[some])
            rest = need[:, None] - served
            ways: Array = cost[some] + unit[some] * served
            ways += rest * per_unit[some, None]
            return ways

        ways = of_need(self._need, rows)
        first = ways.argmin(axis=1)
        served = np.minimum(self._need, self._most[rows, first])
        found = ways[rows, first]
        if is_close:
            for place in range(self._width):
                rest = self._need - self._most[:, place]
                some = np.flatnonzero(rest > 0)
                second = of_need(rest[some], some).min(axis=1, initial=np.inf)
                ways[some, place] = full[some, place] + second
            found = ways.min(axis=1)
        # Copies that there must be, however little they serve.
        needed = np.ceil(
            self._need / self._most.max(axis=1, where=cost < dear, initial=1e-300)
        )
        needed = np.where(options.is_whole, options.least, needed)
        least = cost.min(axis=1) * np.maximum(options.least, needed)
        lowest = np.where(cost < dear, unit, np.inf).min(axis=1, initial=np.inf)
        least += np.where(
            options.is_whole | ~self._has_options,
            0.0,
            self._need * np.minimum(lowest, dear),
        )
        counts = self._must & self._has_options
        taken = np.zeros((len(weights), self._num_dimensions))
        index = np.zeros((len(self._need), self._width), dtype=np.int64)
        index[options.job, self._place] = np.arange(len(options.job))
        for place, units, copies in (
            (first, served, np.ones(len(rows))),
            (at_best, self._need - served, None),
        ):
            at = index[rows, place]
            number = units / self._most[rows, place] if copies is None else copies
            room = options.fixed[at] * number[:, None]
            room += options.loaded[at] * units[:, None]
            np.add.at(taken, options.bin_type[at[counts]], room[counts])
        total = np.maximum(found, least) if is_close else found
        return math.fsum(total[counts]), taken

    def _next(
        self,
        planes: list[tuple[Array, float]],
        center: Array,
        rents: Array,
        step: float,
    ) -> tuple[Array, Array, float] | None:
        """Return the best prices by the planes, near others, and what they allow."""
        from ortools.linear_solver import pywraplp

        unit = max(1.0, float(self._prices.max()))
        size = max(1.0, max(abs(offset) for _, offset in planes))
        size = max(size, *(float((taken * center).sum()) for taken, _ in planes))
        lp = pywraplp.Solver.CreateSolver("GLOP")
        objective = lp.Objective()
        objective.SetMaximization()
        height = lp.NumVar(-lp.infinity(), lp.infinity(), "")
        objective.SetCoefficient(height, 1.0)
        rows = []
        for bin_type, price in enumerate(self._prices):
            far = step * price / unit
            within = lp.RowConstraint(-lp.infinity(), price / unit, "")
            row = []
            for weight in center[bin_type] / unit:
                one = lp.NumVar(max(0.0, weight - far), weight + far, "")
                within.SetCoefficient(one, 1.0)
                row.append(one)
            count = self._counts[bin_type]
            rent = None
            if count is not None:
                at = rents[bin_type] / unit
                rent = lp.NumVar(max(0.0, at - far), at + far, "")
                within.SetCoefficient(rent, -1.0)
                objective.SetCoefficient(rent, -min(count, UNLIMITED) * unit / size)
            rows.append((row, rent))
        for taken, offset in planes:
            below = lp.RowConstraint(-lp.infinity(), offset / size, "")
            below.SetCoefficient(height, 1.0)
            for (row, _), of_type in zip(rows, taken, strict=True):
                for one, amount in zip(row, of_type, strict=True):
                    if amount:
                        below.SetCoefficient(one, -float(amount) * unit / size)
        if not solve_linear(lp):
            return None
        weights = np.array([[one.solution_value() for one in row] for row, _ in rows])
        found = np.array(
            [0.0 if rent is None else rent.solution_value() for _, rent in rows]
        )
        return (
            np.maximum(weights, 0.0) * unit,
            np.maximum(found, 0.0) * unit,
            float(objective.Value()) * size,
        )
