"""Some jobs of a plan placed anew, all others staying where they are: one program.

    X_bo  copies of option o in bin b, an integer, for the jobs that are free
    Y_bo  copies' worth of service there, continuous, for every option that is there
    S_j   share of its demand that job j gets
    Z_j   whether an optional job that needs several copies is there at all

Room in full is taken by X, in proportion by Y. The service of the other jobs is shared
out anew over the copies that they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.runtime import new_program, solve_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ortools.linear_solver import pywraplp

    from gpupack.packing.capacity.model import CapacityProblem, Job

EFFORT = (
    "presolving/maxrestarts = 0\n"
    "separating/maxroundsroot = 3\n"
    "numerics/feastol = 1e-9\n"
)
"""Of SCIP: such a program takes a tenth of a second, most of it at the root."""
VAIN_NODES = 50
CHOICE_GAP = 1e-4
"""Nodes without a better plan, and relative gap, at which the program ends: work, not
seconds, so that the same is found however fast the machine is."""
LIMIT_S, LEAST_S = 4.0, 0.05
"""Of the program, where it is slow."""


@dataclass(frozen=True)
class OpenBin:
    """One bin, and what it holds.

    Args:
        bin_type: Its index.
        held: Per option, its copies and the copies' worth of service that they give.
    """

    bin_type: int
    held: Mapping[int, tuple[int, float]]


class JobRelease:
    """Builds the program for some jobs and some bins; starts it from what there is.

    Args:
        problem: What is planned.
        options: Per bin type and job, the options that the job may get there.
        bins: That copies may be put into, or taken out of.
        others: The bins that stay as they are.
        jobs: That are free.
        unit: Of weighted service.
        seed: For the solver's random choices.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        options: Sequence[Mapping[int, Sequence[int]]],
        bins: Sequence[OpenBin],
        others: Iterable[OpenBin],
        jobs: Iterable[int],
        *,
        unit: float,
        seed: int,
    ) -> None:

        self._problem = problem
        self._options = options
        self._bins = bins
        self._jobs = tuple(jobs)
        self._unit = unit
        self._mip = new_program()
        self._settings = (
            f"{EFFORT}limits/stallnodes = {VAIN_NODES}\n"
            f"randomization/randomseedshift = {seed % 2**31}\n"
        )
        self._objective = self._mip.Objective()
        self._objective.SetMaximization()
        self._infinity = self._mip.infinity()
        self._start: list[tuple[pywraplp.Variable, float]] = []
        self._start_value = 0.0
        self._service_rows: dict[int, pywraplp.Constraint] = {}
        self._copy_rows: dict[int, list[pywraplp.Constraint]] = {}
        self._add_jobs(others)
        self._held: list[
            dict[int, tuple[int | pywraplp.Variable, pywraplp.Variable | None]]
        ] = [self._add_bin(one) for one in bins]

    def _add_jobs(self, others: Iterable[OpenBin]) -> None:
        problem, mip = self._problem, self._mip
        here, elsewhere = _Totals(problem, self._bins), _Totals(problem, others)
        for index in sorted({*self._jobs, *here.copies}):
            job = problem.jobs[index]
            if index in self._jobs:
                self._add_copies(job, index, here, elsewhere)
            if not job.demand:
                continue
            given = elsewhere.service.get(index, 0.0) / job.demand
            served = min(1.0, given + here.service.get(index, 0.0) / job.demand)
            share = self._variable(mip.NumVar(0, 1, ""), served)
            worth = job.weight * job.demand / self._unit
            self._objective.SetCoefficient(share, worth)
            self._start_value += worth * served
            row = mip.RowConstraint(-given, self._infinity, "")
            row.SetCoefficient(share, -1)
            self._service_rows[index] = row
            if index in self._jobs and job.is_optional and job.copies > 1:
                held = elsewhere.copies.get(index, 0)
                all_held = held + here.copies.get(index, 0)
                # Left out, or there with all the copies that it must have.
                is_there = self._variable(mip.BoolVar(""), all_held >= job.copies)
                row = mip.RowConstraint(-self._infinity, 0, "")
                row.SetCoefficient(share, 1)
                row.SetCoefficient(is_there, -1)
                row = mip.RowConstraint(-held, self._infinity, "")
                row.SetCoefficient(is_there, -job.copies)
                self._copy_rows[index].append(row)

    def _add_copies(
        self, job: Job, index: int, here: _Totals, elsewhere: _Totals
    ) -> None:
        """Add the row of how many copies there are in the open bins."""
        held = elsewhere.copies.get(index, 0)
        least = 0 if job.is_optional else max(0, job.copies - held)
        limit = job.copies if job.is_whole else job.max_copies
        most = self._infinity
        if limit is not None:
            most = max(limit - held, here.copies.get(index, 0))
        self._copy_rows[index] = [self._mip.RowConstraint(least, most, "")]

    def _add_bin(
        self, one: OpenBin
    ) -> dict[int, tuple[int | pywraplp.Variable, pywraplp.Variable | None]]:
        problem, mip = self._problem, self._mip
        capacity = problem.bin_types[one.bin_type].capacity
        left = list(capacity)
        rows = [mip.RowConstraint(-self._infinity, 0, "") for _ in capacity]
        found: dict[int, tuple[int | pywraplp.Variable, pywraplp.Variable | None]] = {}
        free = set(self._jobs)
        for index, (copies, load) in one.held.items():
            option = problem.options[index]
            if option.job in free:
                continue
            left = [a - copies * b for a, b in zip(left, option.fixed, strict=True)]
            found[index] = copies, self._add_load(index, copies, load, rows, capacity)
        for job in self._jobs:
            for index in self._options[one.bin_type].get(job, ()):
                option = problem.options[index]
                if any(a > b for a, b in zip(option.fixed, left, strict=True)):
                    continue
                held, load = one.held.get(index, (0, 0.0))
                most = max(held, problem.most_copies(index))
                count = self._variable(mip.IntVar(0, most, ""), held)
                for row in self._copy_rows[job]:
                    row.SetCoefficient(count, 1)
                for row, size, room in zip(rows, option.fixed, capacity, strict=True):
                    if size:
                        row.SetCoefficient(count, size / room)
                if problem.jobs[job].is_whole:
                    worth = problem.jobs[job].weight * option.rate / self._unit
                    self._objective.SetCoefficient(count, worth)
                    self._start_value += worth * held
                served = self._add_load(index, most, load, rows, capacity)
                if served is not None:
                    row = mip.RowConstraint(-self._infinity, 0, "")
                    row.SetCoefficient(served, 1)
                    row.SetCoefficient(count, -1)
                found[index] = count, served
        for row, room, most in zip(rows, left, capacity, strict=True):
            row.SetUb(room / most if most else 0.0)
        return found

    def _add_load(
        self,
        index: int,
        most: int,
        load: float,
        rows: Sequence[pywraplp.Constraint],
        capacity: Sequence[int],
    ) -> pywraplp.Variable | None:
        option = self._problem.options[index]
        demand = self._problem.jobs[option.job].demand
        if not demand:
            return None
        served = self._variable(self._mip.NumVar(0, most, ""), load)
        self._service_rows[option.job].SetCoefficient(served, option.rate / demand)
        for row, size, room in zip(rows, option.proportional, capacity, strict=True):
            if size:
                row.SetCoefficient(served, size / room)
        return served

    def _variable(self, variable: pywraplp.Variable, value: float) -> pywraplp.Variable:
        self._start.append((variable, value))
        return variable

    def solve(self, *, limit_s: float) -> tuple[float, tuple[OpenBin, ...]] | None:
        """Return what is gained, in weighted service, and the bins; None if nothing.

        Args:
            limit_s: Wall time at most.
        """
        from ortools.linear_solver import pywraplp

        mip = self._mip
        mip.SetHint(
            [one for one, _ in self._start], [value for _, value in self._start]
        )
        mip.SetTimeLimit(round(1000 * max(LEAST_S, min(LIMIT_S, limit_s))))
        parameters = pywraplp.MPSolverParameters()
        parameters.SetDoubleParam(parameters.RELATIVE_MIP_GAP, CHOICE_GAP)
        state = solve_program(mip, parameters, settings=self._settings)
        if state not in {pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE}:
            return None
        gain = (self._objective.Value() - self._start_value) * self._unit
        bins = tuple(
            OpenBin(one.bin_type, _read(held))
            for one, held in zip(self._bins, self._held, strict=True)
        )
        return (gain, bins) if gain > 0 and all(map(self._fits, bins)) else None

    def _fits(self, one: OpenBin) -> bool:
        """Return whether sizes in full, which are whole, fit to the last unit."""
        problem = self._problem
        return all(
            sum(
                copies * problem.options[index].fixed[dimension]
                for index, (copies, _) in one.held.items()
            )
            <= most
            for dimension, most in enumerate(problem.bin_types[one.bin_type].capacity)
        )


class _Totals:
    """Copies and service of every job in some bins."""

    def __init__(self, problem: CapacityProblem, bins: Iterable[OpenBin]) -> None:
        self.copies: dict[int, int] = {}
        self.service: dict[int, float] = {}
        for one in bins:
            for index, (copies, load) in one.held.items():
                option = problem.options[index]
                self.copies[option.job] = self.copies.get(option.job, 0) + copies
                self.service[option.job] = (
                    self.service.get(option.job, 0.0) + load * option.rate
                )


def _read(
    held: Mapping[int, tuple[int | pywraplp.Variable, pywraplp.Variable | None]],
) -> dict[int, tuple[int, float]]:
    found = {}
    for index, (count, served) in held.items():
        copies = count if isinstance(count, int) else round(count.solution_value())
        if copies:
            load = 0.0 if served is None else served.solution_value()
            found[index] = copies, max(0.0, min(float(copies), load))
    return found
