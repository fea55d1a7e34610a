# Long because every rung of the ladder is told in the order in which it is climbed.
"""Solve a capacity problem: enumeration where it is small, else column generation."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.cpus import count_usable_cpus
from gpupack.errors import CheckError, InvalidInputError
from gpupack.packing.capacity.existence import is_impossible
from gpupack.packing.capacity.improving import (
    Clock,
    Completion,
    cheapest_plan,
    dive,
    is_worth_it,
)
from gpupack.packing.capacity.model import (
    MAX_ENUMERATED,
    CapacityPlan,
    CapacityProblem,
    Configuration,
    Goal,
    PlanStatus,
    check_plan,
    enumerate_configurations,
    reduced,
    with_faster_options,
)
from gpupack.packing.capacity.overload import is_overloaded
from gpupack.packing.capacity.plan_programs import (
    bin_by_bin,
    bisect,
    choose_patterns,
)
from gpupack.packing.capacity.relaxing import (
    CLOSE_ENOUGH,
    BinCounts,
    Relaxation,
    Relaxer,
    UnsolvedError,
    all_idle,
    counted,
    everything,
    most_bins,
    most_service,
    rounded_bound,
)
from gpupack.packing.capacity.starting import SlackPlans, starting_plan
from gpupack.packing.capacity.task import Task, uses_of
from gpupack.packing.capacity.under_rule import under_rule
from gpupack.packing.runtime import (
    NO_MEMORY,
    fitting_threads,
    kernels_are_ready,
    weaknesses,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Uses = tuple[tuple[Configuration, int], ...]

PROGRAM = "program over all fillings"
"""An integer program that chooses among every way to fill a bin."""
_logger = logging.getLogger(__name__)

MAX_ENUMERATION_STEPS = 20_000
MAX_RULED_STEPS = 400_000
"""The same where a rule is asked at every step, which cuts most of the search off: what
then is left to choose among is often small, and without it there is no bound but that
of the problem without the rule. Time ends it, too."""
MAX_RULED_CONFIGURATIONS = 800
"""The same: more of them are solved at once than without a rule, since a bound without
it is seldom met. 417 take a second."""
BISECTION_SHARE = 0.5
"""Of the time left, for the plain model where copies have room in common."""
RULELESS_SHARE = 0.3
"""Of the time left, for the problem without its rule."""
ENUMERATION_SHARE = 0.2
"""Of the time limit, for listing configurations at most."""
RELAXATION_SHARE = 0.4
SERVICE_SHARE = 0.45
SERVICE_SHARE_BESIDE = 0.65
"""The same where service counts: it is the only bound there is. The second where the
plan is improved meanwhile."""
SERVICE_GAP = 4e-4
"""Of the relaxation, where service counts."""
MIN_SHARE_SHARE = 0.1
SEARCH_SHARE = 0.9
PLAIN_SEARCH_SHARE = 0.4
"""The same where a plan is known and the plain model may yet prove it best."""
DIVING_SHARE = 0.4
"""Of the time that is left, for column generation, local search, and diving at most."""
NEARLY_ALL = 0.9
"""Of everything, that the relaxation serves, to see then whether all can be served."""
FULL_SHARE = 0.4
"""Of the time limit, to see whether everything can be served."""
WARM_UP_SHARE = 0.5
"""Of the time left, to wait for compiled code at most."""
LEAST_LIMIT_S = 0.2
"""Of a search, whatever the time limit."""
SLACK_SHARE = 0.2
"""Of the time left, for filling the worst bins anew before there is a relaxation."""
MAX_GENERATED_JOBS = 4_000
"""Beyond it one linear program takes longer than most limits."""
MAX_RELAXED_JOBS = 400
"""The same where bins are filled with little slack and recreated, which is better from
there on in 20 s: 500 jobs with nine options are 0.17 % above the bound instead of 0.68,
and with one option 1.1 instead of 2.4; with 200 jobs it is 1.1 instead of 0.2."""


def plan_capacity(
    problem: CapacityProblem,
    goal: Goal,
    *,
    time_limit_s: float = 10.0,
    seed: int = 0,
    num_workers: int | None = None,
    target_gap: float = 0.0,
    progress: Callable[[CapacityPlan], None] | None = None,
) -> CapacityPlan:
    """Return a checked plan and a proven bound.

    Ties are broken by what the goal lists next, as far as the time limit allows; the
    proof is of the goal itself.

    With one worker the plan is the same for a seed if no step was cut by the clock: the
    limit is shared out among steps, and a slower machine may look less far in some of
    them. So it is for plans that are proved well within their limit, and is not for
    those that use it up. With more workers one step, CP-SAT on plans of few bins,
    races: the value of an optimal plan is the same, what is in the bins need not be.

    Args:
        problem: What to plan.
        goal: What is best. Where service counts and every job can have all it wants,
            the plan is the cheapest that gives it.
        time_limit_s: Wall time, ≥ 0; the best plan so far is returned.
        seed: For every random choice.
        num_workers: Threads; as many as cores may be used if None.
        target_gap: Stop as soon as value and bound are this close, relative to the
            value.
        progress: Called with the first plan, and with it again at a tighter bound,
            while the search goes on.

    Raises:
        InvalidInputError: If the limit is negative or not a number, the workers are
            fewer than 1, or ``MAX_MIN_SHARE`` is asked for without any demand.
    """
    if math.isnan(time_limit_s) or time_limit_s < 0:
        raise InvalidInputError(f"time_limit_s is {time_limit_s}; it must be ≥ 0")
    if num_workers is not None and num_workers < 1:
        raise InvalidInputError(f"num_workers is {num_workers}; it must be ≥ 1")
    if goal is Goal.MAX_MIN_SHARE and not any(
        job.demand and not job.is_optional for job in problem.jobs
    ):
        raise InvalidInputError("a largest smallest share needs a demand")
    # A limit of 0 still gets a moment: beside a first plan, a bound on it.
    clock = Clock(time.perf_counter(), max(LEAST_LIMIT_S, time_limit_s))
    reduction = reduced(problem, goal)

    def restored(plan: CapacityPlan) -> CapacityPlan:
        if reduction is None:
            return plan
        bins = reduction.restored(plan.bins, problem)
        if reduction.is_without_ties:
            bins = with_faster_options(problem, bins)
        if plan.is_found:
            check_plan(problem, bins, in_full=goal.is_in_full)
        return replace(plan, bins=bins, seconds=clock.spent_s)

    def tell(plan: CapacityPlan) -> None:
        if progress is not None:
            progress(restored(plan))

    plan = _Search(
        problem if reduction is None else reduction.problem,
        goal,
        clock,
        seed=seed,
        num_workers=fitting_threads(num_workers or count_usable_cpus()),
        target_gap=target_gap,
        tell=tell,
    ).run()
    if plan.status not in {PlanStatus.OPTIMAL, PlanStatus.INFEASIBLE}:
        plan = replace(plan, warnings=plan.warnings + weaknesses())
    return restored(plan)


def _tell_nobody(_: CapacityPlan) -> None:
    """Of a search within a search, whose plans answer another question."""


class _Search:
    """One solve: its clock, its problem, its best plan.

    The first plan takes no clock, so it is there at every time limit; what comes later
    starts from it and is kept only if it is better.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        clock: Clock,
        *,
        seed: int,
        num_workers: int,
        target_gap: float,
        tell: Callable[[CapacityPlan], None] = _tell_nobody,
    ) -> None:
        self._tell = tell
        self._asked = problem
        self._problem = counted(problem, goal)
        self._goal = goal
        self._clock = clock
        self._seed = seed
        self._num_workers = num_workers
        self._target_gap = target_gap
        self._completion = Completion(
            self._problem, goal, clock, seed=seed, target_gap=target_gap
        )
        self._task = Task(
            self._problem,
            goal,
            clock,
            self._completion,
            seed=seed,
            num_workers=num_workers,
            target_gap=target_gap,
        )
        self._slack_plans = SlackPlans(self._task)
        self._best: CapacityPlan | None = None

    def run(self) -> CapacityPlan:
        for index, job in enumerate(self._asked.jobs):
            if not job.is_optional and not self._asked.options_by_job[index]:
                return self._completion.without_plan(
                    PlanStatus.INFEASIBLE, "a job fits nowhere"
                )
        # What every plan must serve, and no more.
        least = self._asked if self._goal.is_in_full else all_idle(self._asked)
        if is_overloaded(least):
            return self._completion.without_plan(PlanStatus.INFEASIBLE, "volume")
        self._best = starting_plan(self._task, self._most_value(), self._slack_plans)
        if self._best is not None and self._clock.is_over:
            return self._best
        if self._best is not None:
            self._tell(self._best)
        try:
            plan = self._searched()
        except (CheckError, UnsolvedError) as err:
            # Floating point was not enough for this problem; what is checked stays.
            _logger.debug("a search of plans was given up", exc_info=err)
            plan = self._completion.without_plan(PlanStatus.UNKNOWN, "rounding")
        except MemoryError as err:
            if self._best is None:
                raise
            _logger.debug("a search of plans ran out of memory", exc_info=err)
            is_proved = self._best.status is PlanStatus.OPTIMAL
            return replace(self._best, warnings=() if is_proved else (NO_MEMORY,))
        return self._task.better(self._best, plan)

    def _searched(self) -> CapacityPlan:
        # Without a rule to be asked, the steps alone are few and quick.
        limit, most, deadline = MAX_ENUMERATION_STEPS, MAX_ENUMERATED, math.inf
        if self._problem.rule is not None:
            limit, most = MAX_RULED_STEPS, MAX_RULED_CONFIGURATIONS
            deadline = time.perf_counter() + ENUMERATION_SHARE * self._clock.limit_s
        configurations = enumerate_configurations(
            self._problem, limit=limit, most=most, deadline=deadline
        )
        if configurations is not None:
            # Within a budget the program says it at once whether all can be served.
            full = None if self._asked.budget is not None else self._in_full()
            return full or self._enumerated(configurations)
        if self._problem.rule is not None:
            return self._ruled()
        return self._small() or self._generated()

    def _small(self) -> CapacityPlan | None:
        """Return the cheapest plan of a handful of copies, None if that is too much."""
        if not self._goal.is_in_full:
            return None
        found = cheapest_plan(self._problem, self._goal)
        if found is None:
            return None
        uses, value = found
        bins = self._completion.fill(uses)
        if not bins:
            return None
        return self._completion.plan(
            bins, value, "small search", proved_by="exhaustive search"
        )

    def _in_full(self) -> CapacityPlan | None:
        """Return the cheapest plan with everything for everyone, None if none."""
        if self._goal.is_in_full:
            return None
        full = everything(self._asked, self._goal)
        has_costs = any(one.cost for one in full.bin_types)
        plan = _Search(
            full,
            Goal.MIN_COST if has_costs else Goal.MIN_BINS,
            Clock(self._clock.started, self._clock.limit_s * FULL_SHARE),
            seed=self._seed,
            num_workers=self._num_workers,
            target_gap=self._target_gap,
        ).run()
        if not plan.is_found:
            return None
        value = self._most_value()
        return replace(
            plan,
            value=value,
            bound=value,
            status=PlanStatus.OPTIMAL,
            proved_by="everything being served",
        )

    def _most_value(self) -> float:
        if self._goal is Goal.MAX_MIN_SHARE:
            return 1.0
        return most_service(self._asked)

    def _enumerated(self, configurations: list[Configuration]) -> CapacityPlan:
        result, bins = self._completion.choose(configurations)
        if result.state in {"infeasible", "unknown"}:
            is_proved = result.state == "infeasible" and is_impossible(
                self._problem,
                configurations,
                in_full=self._goal.is_in_full,
                time_limit_s=self._clock.remaining_s,
            )
            return self._completion.without_plan(
                PlanStatus.INFEASIBLE if is_proved else PlanStatus.UNKNOWN,
                "enumeration",
            )
        bound = rounded_bound(self._problem, self._goal, result.bound)
        return self._completion.plan(
            bins, bound, "enumeration", found_by=PROGRAM, proved_by=PROGRAM
        )

    def _ruled(self) -> CapacityPlan:
        """Return a plan that keeps the rule, and what is proved without it.

        No plan that keeps the rule is better than the best without it, which compiled
        searches find; often that one keeps it. Room in common the plain model knows.
        """
        best = self._best
        if self._problem.overlaps and self._goal.is_in_full and best is not None:
            best = self._best = bisect(self._task, best, share=BISECTION_SHARE)
            if best.status is PlanStatus.OPTIMAL:
                return best
            self._tell(best)
        free = _Search(
            replace(self._asked, rule=None),
            self._goal,
            Clock(time.perf_counter(), self._clock.remaining_s * RULELESS_SHARE),
            seed=self._seed,
            num_workers=self._num_workers,
            target_gap=self._target_gap,
        ).run()
        return under_rule(self._task, free, self._generated)

    def _generated(self) -> CapacityPlan:
        problem, goal, clock = self._problem, self._goal, self._clock
        if self._best is not None:
            is_large = len(problem.jobs) > (
                MAX_RELAXED_JOBS
                if self._slack_plans.is_searched
                else MAX_GENERATED_JOBS
            )
            share = 1.0 if is_large else SLACK_SHARE
            self._best = self._slack_plans.improved(
                self._best,
                deadline=time.perf_counter() + clock.remaining_s * share,
                is_last=is_large,
            )
            if is_large or self._best.status is PlanStatus.OPTIMAL:
                return self._best
        kernels_are_ready(wait_s=0)  # starts loading them, if that was not done yet
        is_alone = self._num_workers == 1
        shares = {
            Goal.MAX_SERVICE: SERVICE_SHARE if is_alone else SERVICE_SHARE_BESIDE,
            Goal.MAX_MIN_SHARE: MIN_SHARE_SHARE,
        }
        deadline = time.perf_counter() + clock.remaining_s * shares.get(
            goal, RELAXATION_SHARE
        )
        relaxer = Relaxer(problem, goal, deadline=deadline, seed=self._seed)
        close = SERVICE_GAP if goal is Goal.MAX_SERVICE else CLOSE_ENOUGH
        relaxation = self._relaxed(
            relaxer, gap=max(self._target_gap / 2, close), deadline=deadline
        )
        if relaxation.is_infeasible or (
            relaxation.bought_off and goal.is_in_full and self._is_hopeless(relaxer)
        ):
            return self._completion.without_plan(
                PlanStatus.INFEASIBLE, "column generation"
            )
        most = self._most_value()
        is_open = relaxation.bound >= most * (1 - 1e-9)
        # A bound that is open for want of time is no sign that all can be served.
        if not goal.is_in_full and is_open and relaxation.value >= most * NEARLY_ALL:
            plan = self._in_full()
            if plan is not None:
                return plan
        bound = rounded_bound(problem, goal, relaxation.bound)
        if not goal.is_in_full:
            # Infinite where time was too short for a round of exact pricing.
            bound = min(bound, self._most_value())
        if self._best is not None:
            known = self._completion.plan(
                self._best.bins,
                bound,
                "column generation",
                found_by=self._best.found_by,
            )
            known = self._task.better(self._best, known)
            self._tell(known)
            bound = known.bound
        plan = None
        # Compiled code cannot ask the rule.
        if problem.rule is None and kernels_are_ready(
            wait_s=clock.remaining_s * WARM_UP_SHARE
        ):
            # Imports searches that small problems do without.
            from gpupack.packing.capacity.improving import LocalSearch

            plan = LocalSearch(
                problem,
                goal,
                self._completion,
                seed=self._seed,
                target_gap=self._target_gap,
                num_workers=self._num_workers,
            ).run(
                relaxer,
                bound,
                known=() if self._best is None else uses_of(self._best.bins),
                known_value=-math.inf if self._best is None else self._best.value,
                deadline=time.perf_counter() + clock.remaining_s * self._search_share(),
            )
        if plan is None:
            hint, known_value = self._simple_plan(relaxer), None
            if self._best is not None:
                hint = hint or uses_of(self._best.bins)
                known_value = self._best.value
            plan = choose_patterns(
                self._task, relaxation, bound, hint=hint, known_value=known_value
            )
        plan = self._task.better(self._best, plan)
        if goal.is_in_full and plan.status is PlanStatus.FEASIBLE:
            plan = bin_by_bin(self._task, plan)
        return plan

    def _relaxed(self, relaxer: Relaxer, *, gap: float, deadline: float) -> Relaxation:
        """Return the relaxation; where service counts, improve the plan beside it."""
        best = self._best
        if (
            best is None
            or self._goal is not Goal.MAX_SERVICE
            or self._num_workers == 1
            or self._problem.rule is not None
        ):
            return relaxer.run(target_gap=gap)
        # Imports searches that small problems do without.
        from gpupack.packing.capacity.improving import relax_and_serve

        relaxation, uses = relax_and_serve(
            self._problem,
            relaxer,
            uses_of(best.bins),
            bound=best.bound,
            deadline=deadline,
            gap=gap,
            target_gap=self._target_gap,
            seed=self._seed,
        )
        bins = self._completion.fill(uses)
        if bins:
            self._best = self._task.better(
                best,
                self._completion.plan(
                    bins, best.bound, "local search", proved_by=best.proved_by
                ),
            )
        return relaxation

    def _search_share(self) -> float:
        """Return the share of the time left for local search."""
        plain = (
            self._goal.is_in_full
            and self._best is not None
            and is_worth_it(self._problem, self._goal, round(self._best.value))
        )
        return PLAIN_SEARCH_SHARE if plain else SEARCH_SHARE

    def _is_hopeless(self, relaxer: Relaxer) -> bool:
        """Return whether not even all the bins there are can be enough."""
        deadline = time.perf_counter() + self._clock.remaining_s * RELAXATION_SHARE
        relaxer.probe(most_bins(self._problem), deadline=deadline)
        counts = BinCounts(self._problem, self._goal, deadline=deadline)
        for cut in relaxer.cuts:
            counts.add(cut)
        return math.isinf(counts.lowest_value())

    def _simple_plan(self, relaxer: Relaxer) -> Uses:
        """Return a plan to start from: by diving, or the fewest bins, all idle."""
        problem, limit_s = self._problem, self._clock.remaining_s * DIVING_SHARE
        known = () if self._best is None else uses_of(self._best.bins)
        if self._goal.is_in_full:
            deadline = time.perf_counter() + limit_s
            dived = dive(problem, relaxer, deadline=deadline) or ()
            prices = problem.prices(self._goal)

            def value(uses: Uses) -> int:
                return sum(prices[one.bin_type] * number for one, number in uses)

            return min((one for one in (dived, known) if one), key=value, default=())
        if known:
            return known
        has_costs = any(one.cost for one in problem.bin_types)
        plan = _Search(
            replace(all_idle(problem), budget=None),
            Goal.MIN_COST if has_costs else Goal.MIN_BINS,
            Clock(time.perf_counter(), limit_s),
            seed=self._seed,
            num_workers=self._num_workers,
            target_gap=0.1,
        ).run()
        return uses_of(plan.bins)
