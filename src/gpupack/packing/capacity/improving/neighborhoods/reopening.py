"""Large neighborhood search: a few bins of a plan are emptied and filled anew.

A plan of local search is a dozen fillings that hardly fit better one by one. Where
jobs compete for bins, what helps is to choose several at once. So a few bins are
opened again; column generation finds patterns for just what the others leave
unserved; and an integer program chooses among these, the old ones and those of the
relaxation, while it shares out the service over all bins anew. As the old plan is one
of its choices, no step is a loss.

References:
    Shaw, "Using constraint programming and local search methods to solve vehicle
    routing problems", CP 1998 (large neighborhood search). Joncour and others,
    "Column generation based primal heuristics", Electronic Notes in Discrete
    Mathematics 36, 2010 (the restricted master as an integer program).
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import Configuration, Goal
from gpupack.packing.capacity.relaxing import (
    MEASURES,
    CapacityProgram,
    Relaxer,
    UnsolvedError,
    made_to_fit,
)
from gpupack.packing.runtime import call_all_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem, Job
    from gpupack.packing.capacity.relaxing import Pattern

    Uses = tuple[tuple[Configuration, int], ...]

NUM_REOPENED, MOST_REOPENED = 4, 6
VAIN_PER_SIZE = 4
"""Bins reopened at first and at most, and another one after so many in vain."""
MAX_ROUNDS = 20
"""Of exact pricing for the patterns of one reopening."""
VAIN_NODES = 50
CHOICE_GAP = 1e-4
"""Nodes without a better plan, and relative gap, at which the program ends: work, not
seconds, so that the same is found however fast the machine is."""
RELAXING_S, CHOOSING_S = 4.0, 6.0
"""For the patterns of one reopening, and for the program, where these are slow."""
MAX_EXTRA = 30
"""Patterns beside those that the relaxation of the reopened bins uses."""
LEAST_LEFT = 1e-3
"""Share of a demand below which what is left of it is not worth a pattern."""
LEAST_GAIN = 1e-6
LEAST_S = 0.05
MAX_VAIN = 40
"""Reopenings in vain after which to stop."""
MOST_DRAWN = 20
"""Draws for bins that were not reopened in vain before."""
MOST_SIDE_BY_SIDE = 4


@dataclass(frozen=True)
class _Plan:
    """A plan, what it is worth, and what its bins serve.

    Args:
        uses: Configurations and how many bins have each.
        value: Of the goal.
        served: Per configuration and option, the share of a demand that all its
            bins serve together.
    """

    uses: Uses
    value: float
    served: tuple[dict[int, float], ...]


class Reopener:
    """Improves a plan by reopening some of its bins at a time.

    Args:
        problem: What is planned, every bin type counted.
        goal: Service, or the smallest share.
        bound: Proven on the value.
        patterns: To start relaxations from.
        seed: For every random choice.
        num_workers: Threads; as many reopenings at a time.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        *,
        bound: float,
        patterns: Iterable[Pattern] = (),
        seed: int,
        num_workers: int = 1,
    ) -> None:
        self._patterns = dict.fromkeys(patterns)
        self._num_workers = min(num_workers, MOST_SIDE_BY_SIDE)
        self._problem = problem
        self._goal = goal
        self._measure = MEASURES[goal][0]
        self._bound = bound
        self._seed = seed
        self._rng = random.Random(seed)

    def run(
        self,
        uses: Uses,
        *,
        deadline: float,
        target_gap: float,
        max_vain: int | None = None,
    ) -> Uses:
        """Return a plan that is at least as good.

        Args:
            uses: The plan to start from.
            deadline: On the clock of ``time.perf_counter``.
            target_gap: Relative, at which to stop.
            max_vain: Reopenings in vain after which to stop; as many as it takes to
                have looked at most sets of bins if None.
        """
        most_vain = MAX_VAIN if max_vain is None else max_vain
        plan = self._filled(uses)
        if plan is None:
            return uses
        vain = 0
        tried: set[tuple[int, ...]] = set()
        while (
            vain < most_vain
            and time.perf_counter() < deadline
            and self._bound - plan.value > max(target_gap, LEAST_GAIN) * plan.value
        ):
            num_bins = min(NUM_REOPENED + vain // VAIN_PER_SIZE, MOST_REOPENED)
            again = plan
            for other, patterns in call_all_until(
                deadline,
                [
                    partial(self._reopened, plan, chosen, deadline)
                    for chosen in self._drawn(plan, num_bins, tried)
                ],
                num_workers=self._num_workers,
            ):
                again = self._better(again, other)
                self._patterns |= dict.fromkeys(patterns)
            if again is plan:
                vain += self._num_workers
            else:
                vain = 0
                tried.clear()
            plan = again
        return plan.uses

    def _better(self, plan: _Plan, other: _Plan | None) -> _Plan:
        if other is None or other.value <= plan.value * (1 + LEAST_GAIN):
            return plan
        return other

    def _drawn(
        self, plan: _Plan, num_bins: int, tried: set[tuple[int, ...]]
    ) -> list[tuple[int, ...]]:
        """Return which bins to reopen, as indices of their fillings, for each worker.

        Args:
            plan: Whose bins.
            num_bins: To reopen.
            tried: What was drawn for this plan before; what is drawn now is added.
        """
        bins = [at for at, (_, number) in enumerate(plan.uses) for _ in range(number)]
        drawn = []
        for _ in range(self._num_workers):
            for _ in range(MOST_DRAWN):
                chosen = tuple(sorted(self._rng.sample(bins, min(num_bins, len(bins)))))
                if chosen not in tried:
                    break
            tried.add(chosen)
            drawn.append(chosen)
        return drawn

    def _reopened(
        self,
        plan: _Plan,
        chosen: tuple[int, ...],
        deadline: float,
        stop: NDArray[np.int8],
    ) -> tuple[_Plan | None, tuple[Pattern, ...]]:
        """Return the best plan found with a few bins chosen anew, and new patterns."""
        reopened = Counter(plan.uses[at][0] for at in chosen)
        kept = {one: number - reopened[one] for one, number in plan.uses}
        rest = self._rest(plan, kept)
        limit_s = min(RELAXING_S, max(0.0, deadline - time.perf_counter()))
        relaxer = Relaxer(
            rest,
            Goal.MAX_SERVICE,
            deadline=time.perf_counter() + limit_s,
            seed=self._seed,
        )
        relaxer.start_from(self._of_rest(rest))
        try:
            found = relaxer.run(max_rounds=MAX_ROUNDS)
        except UnsolvedError:
            return None, ()  # one reopening in vain; the plan is still there
        if stop[0]:
            return None, ()
        limit_s = min(CHOOSING_S, max(0.0, deadline - time.perf_counter()))
        other = self._chosen(
            plan,
            {one: number for one, number in kept.items() if number},
            found.configurations[: found.num_used + MAX_EXTRA],
            limit_s=limit_s,
        )
        return other, tuple(relaxer.master.used())

    def _rest(self, plan: _Plan, kept: dict[Configuration, int]) -> CapacityProblem:
        """Return the problem of serving what the kept bins do not, in the others."""
        problem = self._problem
        free = [one.count or 0 for one in problem.bin_types]
        copies = [0] * len(problem.jobs)
        served = [0.0] * len(problem.jobs)
        for (one, number), shares in zip(plan.uses, plan.served, strict=True):
            free[one.bin_type] -= kept[one]
            for option, count in one.counts:
                copies[problem.options[option].job] += kept[one] * count
            for option, share in shares.items():
                served[problem.options[option].job] += share * kept[one] / number
        return replace(
            problem,
            jobs=tuple(
                _rest_of(job, held, share)
                for job, held, share in zip(problem.jobs, copies, served, strict=True)
            ),
            bin_types=tuple(
                replace(one, count=count)
                for one, count in zip(problem.bin_types, free, strict=True)
            ),
        )

    def _of_rest(self, rest: CapacityProblem) -> list[Pattern]:
        """Return the known patterns without what is not wanted any more."""
        wanted = [bool(job.demand) or not job.is_optional for job in rest.jobs]
        free = [bool(one.count) for one in rest.bin_types]
        found: dict[Pattern, None] = {}
        for pattern in self._patterns:
            one = pattern.configuration
            if not free[one.bin_type]:
                continue
            pairs = tuple(
                (option, count)
                for option, count in one.counts
                if wanted[rest.options[option].job]
            )
            if not pairs:
                continue
            loads = dict(
                zip((option for option, _ in one.counts), pattern.loads, strict=True)
            )
            left = Configuration(one.bin_type, pairs)
            found[made_to_fit(rest, left, loads)] = None
        return list(found)

    def _chosen(
        self,
        plan: _Plan,
        kept: dict[Configuration, int],
        others: Sequence[Configuration],
        *,
        limit_s: float,
    ) -> _Plan | None:
        """Return the best plan found that keeps some bins, None if there is none."""
        configurations = list(dict.fromkeys([*(one for one, _ in plan.uses), *others]))
        place = {one: index for index, one in enumerate(configurations)}
        program = self._program(configurations)
        program.keep([(place[one], number) for one, number in kept.items()])
        program.start_from(
            [(place[one], number) for one, number in plan.uses], plan.served
        )
        return self._solved(program, configurations, limit_s)

    def _filled(self, uses: Uses) -> _Plan | None:
        """Return the best plan of exactly these bins."""
        configurations = [one for one, _ in uses]
        program = self._program(configurations)
        program.fix([(place, number) for place, (_, number) in enumerate(uses)])
        return self._solved(program, configurations, CHOOSING_S)

    def _program(self, configurations: Sequence[Configuration]) -> CapacityProgram:
        return CapacityProgram(
            self._problem,
            configurations,
            in_full=self._goal.is_in_full,
            seed=self._seed,
        )

    def _solved(
        self,
        program: CapacityProgram,
        configurations: Sequence[Configuration],
        limit_s: float,
    ) -> _Plan | None:
        result = program.solve(
            self._measure,
            time_limit_s=max(LEAST_S, limit_s),
            gap=CHOICE_GAP,
            vain_nodes=VAIN_NODES,
        )
        if result.state not in {"optimal", "feasible"}:
            return None
        served = program.served()
        return _Plan(
            tuple((configurations[k], number) for k, number in result.uses),
            result.value,
            tuple(served[k] for k, _ in result.uses),
        )


def _rest_of(job: Job, held: int, share: float) -> Job:
    """Return what is left of a job of which so much runs elsewhere."""
    is_optional = job.is_optional or held >= job.copies
    if job.demand is None:
        if held < job.copies:
            return replace(job, copies=job.copies - held)
        return replace(job, weight=0.0, is_optional=True)
    open_share = 1.0 - share
    most = None if job.max_copies is None else job.max_copies - held
    if open_share < LEAST_LEFT or (most is not None and most < 1):
        return replace(
            job, demand=0, is_optional=is_optional, copies=max(1, job.copies - held)
        )
    return replace(
        job,
        demand=math.floor(open_share * job.demand),
        copies=max(1, job.copies - held),
        max_copies=most,
        is_optional=is_optional,
    )
