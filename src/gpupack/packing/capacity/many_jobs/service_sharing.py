"""Service shared out anew over the copies of very many bins, by a linear program.

What copies serve is chosen bin by bin, so that a bin may lack what another has left of
the same job. Over all copies as they are, the most valuable service that has room is a
linear program: a transportation problem where one dimension binds, with a variable for
each copy, a row for each bin and dimension, and one for each job.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.many_jobs.room_prices import UNLIMITED
from gpupack.packing.capacity.many_jobs.slack_plan import without_slots
from gpupack.packing.runtime import solve_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.capacity.many_jobs.room_prices import OptionArrays
    from gpupack.packing.capacity.many_jobs.slack_plan import SlackPlan

    Array = NDArray[np.float64]
    Booleans = NDArray[np.bool_]
    Integers = NDArray[np.int64]

MAX_COPIES = 60_000
"""Copies whose service is shared out at once, in some seconds; more are left alone."""
NEGLIGIBLE = 1e-9
"""Share of a bin, or of a job's need, that is left out of account."""
ROUNDING = 1e-7
"""Share of a bin, or of a need, to which GLOP is trusted: so much room is left, and
needs met but for that are then met in full."""


def shared_anew(
    plan: SlackPlan,
    options: OptionArrays,
    worth: Array,
    prices: Integers,
    *,
    deadline: float = math.inf,
) -> SlackPlan:
    """Return the bins with the most valuable service that their copies have room for.

    Copies that serve nothing then are taken out. The plan itself where the program is
    too large, or not solved in time.

    Jobs of whole copies, of several that there must be and of a limited number stay as
    they are.

    Args:
        plan: What the bins hold.
        options: Those of the problem.
        worth: Of a unit of each job's need.
        prices: Of bins.
        deadline: On the clock of ``time.perf_counter``.
    """
    if not 0 < len(plan.option) <= MAX_COPIES:
        return plan
    sharing = _Sharing(plan, options)
    service = sharing.best(worth, deadline)
    if service is None:
        return plan
    service = sharing.without_rounding(service)
    is_out = sharing.are_idle(service)
    return without_slots(replace(plan, service=service), is_out, prices)


class _Sharing:
    """The copies of a plan, one per slot, and the room for what they serve."""

    def __init__(self, plan: SlackPlan, options: OptionArrays) -> None:
        self._plan = plan
        self._need = options.need
        self._filling = np.repeat(
            np.arange(len(plan.end)), np.diff(plan.end, prepend=0)
        )
        self._job = options.job[plan.option]
        self._number = plan.number[self._filling]
        self._loaded = options.loaded[plan.option]
        self._most = np.minimum(options.most()[plan.option], self._need[self._job])
        # A copy that must be there must serve, or nothing would bring it back once its
        # bin is emptied; and who may have few copies must not be left with a need.
        is_free = ~options.is_whole & (options.least <= 1)
        is_free &= options.limit >= UNLIMITED
        self._is_free = is_free[self._job]
        left = np.ones((len(plan.end), options.fixed.shape[1]))
        np.subtract.at(left, self._filling, options.fixed[plan.option])
        fixed_service = np.where(self._is_free, 0.0, plan.service)
        np.subtract.at(left, self._filling, self._loaded * fixed_service[:, None])
        self._left = np.maximum(left, 0.0)

    def best(self, worth: Array, deadline: float) -> Array | None:
        """Return the service of each copy, None if the program was not solved."""
        from ortools.linear_solver import pywraplp

        job, most, number = self._job, self._most, self._number
        free = np.flatnonzero(self._is_free)
        # All that a copy can serve counts 1, so that coefficients are alike.
        value = worth[job] * most * number
        value /= max(1e-300, float(value.max()))
        share = most * number / self._need[job]
        sizes = (self._loaded * most[:, None]).tolist()
        left = ((1 - 2 * ROUNDING) * self._left).tolist()
        lp = pywraplp.Solver.CreateSolver("GLOP")
        objective = lp.Objective()
        objective.SetMaximization()
        needs: dict[int, pywraplp.Constraint] = {}
        rows: dict[tuple[int, int], pywraplp.Constraint] = {}
        copies = []
        for at in free.tolist():
            one = lp.NumVar(0, 1, "")
            copies.append(one)
            objective.SetCoefficient(one, float(value[at]))
            served, filling = int(job[at]), int(self._filling[at])
            if served not in needs:
                needs[served] = lp.RowConstraint(-lp.infinity(), 1.0, "")
            needs[served].SetCoefficient(one, float(share[at]))
            for dimension, size in enumerate(sizes[at]):
                if size <= NEGLIGIBLE:
                    continue
                if (filling, dimension) not in rows:
                    rows[filling, dimension] = lp.RowConstraint(
                        -lp.infinity(), left[filling][dimension], ""
                    )
                rows[filling, dimension].SetCoefficient(one, size)
        if not solve_linear(lp, deadline=deadline):
            return None
        service = self._plan.service.copy()
        found = np.array([one.solution_value() for one in copies])
        service[free] = np.clip(found, 0.0, 1.0) * most[free]
        return service

    def without_rounding(self, service: Array) -> Array:
        """Return service that has room; needs are met if they are but for rounding."""
        loads = np.zeros(self._left.shape)
        of_free = np.where(self._is_free, service, 0.0)
        np.add.at(loads, self._filling, self._loaded * of_free[:, None])
        fits = np.ones(loads.shape)
        np.divide(self._left, loads, out=fits, where=loads > self._left)
        of_free *= fits.min(axis=1, initial=1.0)[self._filling]
        served = np.bincount(
            self._job, of_free * self._number, minlength=len(self._need)
        )
        factor = np.ones(len(served))
        is_met = (served > 0) & (served >= (1 - ROUNDING) * self._need)
        np.divide(self._need, served, out=factor, where=is_met)
        found: Array = np.where(self._is_free, of_free * factor[self._job], service)
        return found

    def are_idle(self, service: Array) -> Booleans:
        """Return which copies serve nothing."""
        found: Booleans = service <= NEGLIGIBLE * self._need[self._job]
        return self._is_free & found
