"""From configurations to a checked plan: how the service is shared out over bins."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import (
    CapacityPlan,
    PlanStatus,
    check_plan,
    share_out,
)
from gpupack.packing.capacity.relaxing import MEASURES, CapacityProgram, measured_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model import (
        CapacityProblem,
        Configuration,
        FilledBin,
        Goal,
    )
    from gpupack.packing.capacity.relaxing import ProgramResult

    Served = tuple[dict[int, float], ...]

MAX_BINS = 10**12
"""A first solution of a program may have any number of needless bins: with so many it
is no plan."""
PROVED = 1e-6
"""Relative gap at which a plan counts as proved."""
FIRST_SHARE = 0.6
FURTHER_SHARE = 0.3
LEAST_STEP_S = 0.02
LEAST_FILL_S = 0.1
"""For sharing out service over bins that are decided: quick, and worth waiting for."""
"""Of the time left, for the goal itself and for each of its ties."""


@dataclass
class Clock:
    """Time left of a limit.

    Args:
        started: On the clock of ``time.perf_counter``.
        limit_s: From then on.
    """

    started: float
    limit_s: float

    @property
    def deadline(self) -> float:
        """When time is up, on the clock of ``time.perf_counter``."""
        return self.started + self.limit_s

    @property
    def spent_s(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self.started

    @property
    def remaining_s(self) -> float:
        """Time left; a moment at least, in which a step can end."""
        return max(LEAST_STEP_S, self.limit_s - self.spent_s)

    @property
    def is_over(self) -> bool:
        """Whether time is up."""
        return self.spent_s >= self.limit_s


_logger = logging.getLogger(__name__)


class Completion:
    """Makes plans out of configurations, for one problem and goal.

    Args:
        problem: What is planned.
        goal: What is best.
        clock: For the whole solve.
        seed: For every random choice.
        target_gap: Relative, at which a plan is good enough.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        goal: Goal,
        clock: Clock,
        *,
        seed: int,
        target_gap: float,
    ) -> None:
        self._problem = problem
        self._goal = goal
        self._clock = clock
        self._seed = seed
        self._target_gap = target_gap

    def choose(
        self,
        configurations: Sequence[Configuration],
        *,
        hint: Sequence[tuple[Configuration, int]] = (),
        is_fixed: bool = False,
        known_value: float | None = None,
    ) -> tuple[ProgramResult, tuple[FilledBin, ...]]:
        """Solve the goal's measures one after the other.

        Args:
            configurations: To choose from.
            hint: Numbers of bins to start from.
            is_fixed: Whether the hint is the choice; then only service is shared out.
            known_value: Of a plan that is known: none is worse.
        """
        program = CapacityProgram(
            self._problem,
            configurations,
            in_full=self._goal.is_in_full,
            seed=self._seed,
        )
        position = {one: index for index, one in enumerate(configurations)}
        uses = [(position[one], count) for one, count in hint]
        if is_fixed:
            program.fix(uses)
        elif uses:
            program.hint(uses)
        if known_value is not None:
            program.hold(MEASURES[self._goal][0], known_value)
        first: ProgramResult | None = None
        last: tuple[ProgramResult, tuple[int, ...], Served] | None = None
        for measure in MEASURES[self._goal]:
            share = FIRST_SHARE if first is None else FURTHER_SHARE
            limit_s = self._clock.remaining_s * share
            result = program.solve(
                measure,
                time_limit_s=max(LEAST_FILL_S, limit_s) if is_fixed else limit_s,
                gap=self._target_gap / 2,
            )
            if first is None:
                first = result
            if result.state not in {"optimal", "feasible"}:
                break
            if sum(count for _, count in result.uses) > MAX_BINS:
                result = replace(result, state="unknown")
                first = result if last is None else first
                break
            last = result, program.copies_per_option(), program.served()
            program.hold(measure, result.value)
            program.hint(result.uses)
        assert first is not None
        if last is None:
            return first, ()
        result, whole_copies, served = last
        return first, share_out(
            self._problem,
            [(configurations[k], count) for k, count in result.uses],
            result.shares,
            whole_copies,
            [served[k] for k, _ in result.uses],
            deadline=max(self._clock.deadline, time.perf_counter() + LEAST_FILL_S),
        )

    def fill(self, uses: Sequence[tuple[Configuration, int]]) -> tuple[FilledBin, ...]:
        """Return the best plan of exactly these configurations, empty if none."""
        _, bins = self.choose([one for one, _ in uses], hint=uses, is_fixed=True)
        return bins

    def plan(
        self,
        bins: tuple[FilledBin, ...],
        bound: float,
        method: str,
        *,
        found_by: str = "",
        proved_by: str = "",
    ) -> CapacityPlan:
        """Return the checked plan.

        Args:
            bins: What was found.
            bound: Proven: no plan is better.
            method: What closed the gap, or the last that tried.
            found_by: What found the bins; the method if left out.
            proved_by: What proved the bound; the method if left out.

        Raises:
            CheckError: If the bins overflow, or serve less than they must.
        """
        check_plan(self._problem, bins, in_full=self._goal.is_in_full)
        value = measured_value(self._problem, self._goal, bins)
        # The check allows service one part in a million off, so no plan is proved more
        # closely; but what was proved is told as it is. Costs are whole multiples of a
        # step: a bound within it is the value. One bin of a million is no rounding.
        if self._goal.is_in_full:
            step = math.gcd(*self._problem.prices(self._goal))
            bound = min(bound, value)
            is_proved = bound > value - step or bound == value
            bound = value if is_proved else bound
        else:
            bound = max(bound, value)
            is_proved = bound - value <= PROVED * abs(value)
        _logger.debug(
            "%.2f s: %s of %g by %s, bound %g by %s",
            self._clock.spent_s,
            self._goal.value,
            value,
            found_by or method,
            bound,
            proved_by or method,
        )
        return CapacityPlan(
            bins=bins,
            value=value,
            bound=bound,
            status=PlanStatus.OPTIMAL if is_proved else PlanStatus.FEASIBLE,
            method=method,
            seconds=self._clock.spent_s,
            found_by=found_by or method,
            proved_by=proved_by or method,
        )

    def without_plan(self, status: PlanStatus, method: str) -> CapacityPlan:
        """Return the answer that there is no plan, or none was found."""
        return CapacityPlan(
            bins=(),
            value=0.0,
            bound=0.0,
            status=status,
            method=method,
            seconds=self._clock.spent_s,
            proved_by=method,
        )
