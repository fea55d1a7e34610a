# Long because one class builds the program, starts it from a plan, and reads it.
"""The capacity problem over given configurations, as a mixed-integer program.

    X_k   bins of configuration k, an integer
    Y_ko  bins' worth of what option o can serve in one of them, continuous
    S_j   share of its demand that job j gets;  N_o  copies of a whole job's option
    Z_j   whether an optional job that needs several copies is there at all

Its size does not depend on how large the demands are, and neither do its coefficients:
a bin's worth is 1 however far the rates of jobs lie apart, and a share is counted in
the most that a job can get. With every configuration
that matters it is exact; with some of them its best plan is a plan. Solved by SCIP, its
linear relaxation by GLOP, both inside OR-Tools.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import fixed_room_left
from gpupack.packing.capacity.relaxing.cost_rows import CostRows
from gpupack.packing.capacity.relaxing.measures import Measure, reaches, scales
from gpupack.packing.runtime import new_program, solve_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortools.linear_solver import pywraplp

    from gpupack.packing.capacity.model import CapacityProblem, Configuration

PRECISE = "numerics/feastol = 1e-9\n"
"""Of SCIP: what is served must be told to one in a million, also of small shares."""
NEGLIGIBLE_SHARE = 1e-12
"""Share of a demand that a bin serves at most below which it is taken to serve none."""
NEGLIGIBLE_LOADS = 1e-7
"""Share of a bin that all copies in it may take without it being told of.

SCIP takes coefficients of about a billionth for none, or for a reason to serve nothing.
To leave them out only lets plans serve more: bounds hold, and no bin overflows by more
than a tenth of what a plan may be off."""
MAX_NEGLIGIBLE_LOAD = 1e-8
"""Of one option's copies in a bin at most, however few options share it."""
SLACK = 1e-9
"""Relative room left when an earlier objective is held while a later one is solved."""


ROUNDED = 1e-9
"""Of the most that a job can get: no more than what SCIP may be off by."""
RESCALED_BELOW = 1e-3
"""Of its scale; a value of service below it is looked for again, in a finer scale."""
MAX_RESCALED = 4


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What a solve found: a plan over the configurations, and a bound for them.

    Args:
        state: "optimal", "feasible", "infeasible" or "unknown".
        value: Of the measure; 0 without a plan.
        bound: No plan over these configurations has a better value, as far as SCIP's
            floating point can tell, about a billionth: whoever needs whole numbers
            rounds it by ``rounded_up``, which claims no more. That it is infeasible is
            no proof either; ``capacity.existence`` looks for one.
        uses: Pairs (configuration index, number of bins ≥ 1).
        shares: Share of its demand that each job gets, None for whole jobs.
    """

    state: str
    value: float
    bound: float
    uses: tuple[tuple[int, int], ...]
    shares: tuple[float | None, ...]


class CapacityProgram:
    """Builds the program once; measures are solved and held one after the other.

    Args:
        problem: What is planned.
        configurations: That may be used.
        in_full: Whether every demand of a job that is not optional must be met.
        seed: For the solver's random choices.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        configurations: Sequence[Configuration],
        *,
        in_full: bool,
        seed: int,
    ) -> None:

        self._problem = problem
        self._configurations = configurations
        self._in_full = in_full
        self._mip = new_program()
        self._settings = f"{PRECISE}randomization/randomseedshift = {seed % 2**31}\n"
        self._infinity = self._mip.infinity()
        self._smallest: pywraplp.Variable | None = None
        self._reach = [
            1.0 if in_full else one for one in reaches(problem, configurations)
        ]
        self._add_bins()
        self._add_jobs()
        self._add_service()
        self._scales = scales(
            problem,
            self._reach,
            [i for i, one in enumerate(self._copies) if one is not None],
        )

    def _add_bins(self) -> None:
        problem, mip = self._problem, self._mip
        self._x = [
            mip.IntVar(0, self._infinity, f"x{k}")
            for k in range(len(self._configurations))
        ]
        for index, bin_type in enumerate(problem.bin_types):
            if bin_type.count is not None:
                mip.Add(
                    mip.Sum(
                        x
                        for x, one in zip(self._x, self._configurations, strict=True)
                        if one.bin_type == index
                    )
                    <= bin_type.count
                )
        self._cost_rows = CostRows(
            mip,
            self._x,
            [problem.bin_types[one.bin_type].cost for one in self._configurations],
        )
        if problem.budget is not None:
            self._cost_rows.limit(problem.budget)

    def _add_jobs(self) -> None:
        problem, mip = self._problem, self._mip
        self._share = [
            None
            if not job.demand
            else mip.NumVar(
                1.0 if self._in_full and not job.is_optional else 0.0, 1, ""
            )
            for job in problem.jobs
        ]
        provided: list[list[object]] = [[] for _ in problem.options]
        for x, configuration in zip(self._x, self._configurations, strict=True):
            for option, count in configuration.counts:
                provided[option].append(count * x)
        self._copies: list[pywraplp.Variable | None] = [None] * len(problem.options)
        for index, job in enumerate(problem.jobs):
            options = problem.options_by_job[index]
            terms = [term for option in options for term in provided[option]]
            if job.is_whole:
                copies = []
                for option in options:
                    if provided[option]:
                        one = mip.IntVar(0, job.copies, "")
                        mip.Add(one <= mip.Sum(provided[option]))
                        self._copies[option] = one
                        copies.append(one)
                total = mip.Sum(copies) + 0.0
                if job.is_optional:
                    mip.Add(total <= job.copies)
                else:
                    mip.Add(total == job.copies)
                continue
            if not job.is_optional:
                mip.Add(mip.Sum(terms) >= job.copies)
            elif job.copies > 1 and job.demand:
                # Left out, or there with all the copies that it must have.
                is_there = mip.BoolVar("")
                mip.Add(mip.Sum(terms) >= job.copies * is_there)
                mip.Add(self._share[index] <= is_there)
            if job.max_copies is not None:
                mip.Add(mip.Sum(terms) <= job.max_copies)

    def _add_service(self) -> None:
        problem, mip = self._problem, self._mip
        served: list[list[object]] = [[] for _ in problem.jobs]
        self._served: list[dict[int, tuple[pywraplp.Variable, float]]] = []
        for x, configuration in zip(self._x, self._configurations, strict=True):
            left = fixed_room_left(problem, configuration)
            capacity = problem.bin_types[configuration.bin_type].capacity
            in_use: list[list[object]] = [[] for _ in capacity]
            most = [0.0] * len(capacity)
            here: dict[int, tuple[pywraplp.Variable, float]] = {}
            self._served.append(here)
            negligible = min(
                MAX_NEGLIGIBLE_LOAD, NEGLIGIBLE_LOADS / len(configuration.counts)
            )
            for index, count in configuration.counts:
                option = problem.options[index]
                demand = problem.jobs[option.job].demand
                if not demand:
                    continue
                loads = min(count, demand / option.rate)
                share = loads * option.rate / demand
                of_reach = share / self._reach[option.job]
                if of_reach < NEGLIGIBLE_SHARE:
                    continue
                y = mip.NumVar(0, 1 / of_reach, "")
                served[option.job].append(of_reach * y)
                here[index] = y, share
                mip.Add(y <= x)
                for dimension, size in enumerate(option.proportional):
                    taken = size * loads
                    if taken > negligible * capacity[dimension]:
                        most[dimension] += taken
                        in_use[dimension].append(taken / capacity[dimension] * y)
            for dimension, terms in enumerate(in_use):
                if terms and most[dimension] > left[dimension]:
                    mip.Add(mip.Sum(terms) <= left[dimension] / capacity[dimension] * x)
        for share_variable, terms in zip(self._share, served, strict=True):
            if share_variable is not None:
                mip.Add(mip.Sum(terms) >= share_variable)

    def expression(self, measure: Measure) -> pywraplp.LinearExpr:
        """Return a measure as a linear expression, divided by its scale."""
        problem, mip, scale = self._problem, self._mip, self._scales[measure]
        if measure is Measure.COST:
            return mip.Sum(
                problem.bin_types[one.bin_type].cost / scale * x
                for x, one in zip(self._x, self._configurations, strict=True)
            )
        if measure is Measure.BINS:
            return mip.Sum(self._x)
        if measure is Measure.SHARE:
            if self._smallest is None:
                self._smallest = mip.NumVar(0, 1, "")
                for job, share, reach in zip(
                    problem.jobs, self._share, self._reach, strict=True
                ):
                    if share is not None and not job.is_optional:
                        mip.Add(share >= scale / reach * self._smallest)
            return self._smallest + 0.0
        terms = [
            job.weight * job.demand * reach / scale * share
            for job, share, reach in zip(
                problem.jobs, self._share, self._reach, strict=True
            )
            if share is not None and job.demand
        ]
        terms += [
            problem.jobs[option.job].weight * option.rate / scale * copies
            for option, copies in zip(problem.options, self._copies, strict=True)
            if copies is not None
        ]
        return mip.Sum(terms) + 0.0

    def hold(self, measure: Measure, value: float) -> None:
        """Require a measure to stay (almost) as good as ``value`` from now on."""
        expression = self.expression(measure)
        if measure.is_maximized:
            value /= self._scales[measure]
            self._mip.Add(expression >= value * (1 - SLACK))
        else:
            if measure is Measure.COST:
                self._cost_rows.limit(round(value))
                return
            self._mip.Add(expression <= value * (1 + SLACK))

    def hint(self, uses: Sequence[tuple[int, int]]) -> None:
        """Start from numbers of bins per configuration."""
        counts = dict(uses)
        variables = list(self._x)
        values = [float(counts.get(k, 0)) for k in range(len(self._x))]
        for carry, carried in self._cost_rows.carried(counts):
            variables.append(carry)
            values.append(float(carried))
        self._mip.SetHint(variables, values)

    def fix(self, uses: Sequence[tuple[int, int]]) -> None:
        """Decide how many bins each configuration has; what remains is linear."""
        counts = dict(uses)
        for k, x in enumerate(self._x):
            x.SetBounds(counts.get(k, 0), counts.get(k, 0))

    def start_from(
        self, uses: Sequence[tuple[int, int]], given: Sequence[Mapping[int, float]]
    ) -> None:
        """Start from a plan: numbers of bins, and what ``served`` said of them.

        SCIP takes over a plan that is complete; it seldom finds the rest of one of
        which it is told the numbers of bins alone.
        """
        counts = dict(uses)
        served = [0.0] * len(self._problem.jobs)
        variables = list(self._x)
        values = [float(counts.get(k, 0)) for k in range(len(self._x))]
        for carry, carried in self._cost_rows.carried(counts):
            variables.append(carry)
            values.append(float(carried))
        of_plan = dict(zip(counts, given, strict=True))
        for k, here in enumerate(self._served):
            for option, (y, unit) in here.items():
                share = of_plan.get(k, {}).get(option, 0.0)
                served[self._problem.options[option].job] += share
                variables.append(y)
                values.append(share / unit)
        for share_variable, share, reach in zip(
            self._share, served, self._reach, strict=True
        ):
            if share_variable is not None:
                variables.append(share_variable)
                values.append(min(1.0, share / reach))
        self._mip.SetHint(variables, values)

    def keep(self, uses: Sequence[tuple[int, int]]) -> None:
        """Require at least so many bins of each configuration."""
        for k, count in uses:
            self._x[k].SetLb(count)

    def solve(
        self,
        measure: Measure,
        *,
        time_limit_s: float,
        gap: float = 0.0,
        vain_nodes: int | None = None,
    ) -> ProgramResult:
        """Return the best plan for a measure within the time limit, or this gap.

        Args:
            measure: What is best.
            time_limit_s: Wall time.
            gap: Relative, between value and bound, at which to stop.
            vain_nodes: Of the search, without a better plan, after which to stop; None
                for no such limit.
        """
        started = time.perf_counter()
        settings = self._settings
        if vain_nodes is not None:
            settings += f"limits/stallnodes = {vain_nodes}\n"
        result = self._solve(measure, time_limit_s, gap, settings)
        for _ in range(MAX_RESCALED):
            # What is worth most may not be possible, and then hides all the rest.
            is_tiny = result.value < RESCALED_BELOW * self._scales[measure]
            if measure is not Measure.SERVICE or result.state != "optimal":
                break
            left_s = time_limit_s - (time.perf_counter() - started)
            if not is_tiny or left_s <= 0:
                break
            self._scales[measure] *= RESCALED_BELOW
            again = self._solve(measure, left_s, gap, settings)
            if again.state != "optimal":
                break
            result = again
        return result

    def _solve(
        self, measure: Measure, time_limit_s: float, gap: float, settings: str
    ) -> ProgramResult:
        from ortools.linear_solver import pywraplp

        mip = self._mip
        expression = self.expression(measure)
        if measure.is_maximized:
            mip.Maximize(expression)
        else:
            mip.Minimize(expression)
        mip.SetTimeLimit(max(1, int(time_limit_s * 1000)))
        parameters = pywraplp.MPSolverParameters()
        parameters.SetDoubleParam(parameters.RELATIVE_MIP_GAP, max(gap, 1e-9))
        state = {
            pywraplp.Solver.OPTIMAL: "optimal",
            pywraplp.Solver.FEASIBLE: "feasible",
            pywraplp.Solver.INFEASIBLE: "infeasible",
        }.get(solve_program(mip, parameters, settings=settings), "unknown")
        scale = self._scales[measure]
        if state not in {"optimal", "feasible"}:
            return ProgramResult(state, 0.0, 0.0, (), ())
        objective = mip.Objective()
        uses = tuple(
            (k, round(x.solution_value()))
            for k, x in enumerate(self._x)
            if x.solution_value() > 0.5
        )
        value = objective.Value() * scale
        if measure is Measure.COST:
            # Bins are whole, so that their cost is known to the last unit.
            types, configurations = self._problem.bin_types, self._configurations
            value = float(
                sum(types[configurations[k].bin_type].cost * n for k, n in uses)
            )
        return ProgramResult(
            state,
            value,
            (
                objective.Value()
                if state == "optimal" and gap == 0
                else objective.BestBound()
            )
            * scale,
            uses,
            tuple(
                None if share is None else _told(share.solution_value()) * reach
                for share, reach in zip(self._share, self._reach, strict=True)
            ),
        )

    def copies_per_option(self) -> tuple[int, ...]:
        """Return how many copies of each option of whole jobs the last plan uses."""
        return tuple(
            0 if copies is None else round(copies.solution_value())
            for copies in self._copies
        )

    def served(self) -> tuple[dict[int, float], ...]:
        """Return, per configuration and option, the share of a demand that is served.

        By all the bins of a configuration together, in the last plan.
        """
        return tuple(
            {option: y.solution_value() * unit for option, (y, unit) in here.items()}
            for here in self._served
        )


def _told(share: float) -> float:
    """Return a share without what is but rounding."""
    return share if share > ROUNDED else 0.0
