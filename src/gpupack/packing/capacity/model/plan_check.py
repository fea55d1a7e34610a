"""An independent check of a capacity plan: plain numbers, nothing shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import CheckError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model.capacity_problem import CapacityProblem
    from gpupack.packing.capacity.model.plan import FilledBin

TOLERANCE = 1e-6
"""Service is shared out by linear programs in floating point: one part in a million."""


def check_plan(
    problem: CapacityProblem, bins: Sequence[FilledBin], *, in_full: bool
) -> None:
    """Check that no bin overflows and every job gets what it must.

    Args:
        problem: What was planned.
        bins: The plan.
        in_full: Whether every demand must be met, or only the copies be there.

    Raises:
        CheckError: Naming the jobs that are wrong.
    """
    served = [0.0] * len(problem.jobs)
    copies = [0] * len(problem.jobs)
    used_bins = [0] * len(problem.bin_types)
    for one_bin in bins:
        bin_type = problem.bin_types[one_bin.bin_type]
        used_bins[one_bin.bin_type] += one_bin.multiplicity
        if not problem.is_allowed(one_bin.bin_type, one_bin.counts):
            raise CheckError(f"{_held(problem, one_bin)} may not share a bin")
        fixed = [0] * problem.num_dimensions
        loaded = [0.0] * problem.num_dimensions
        for group in one_bin.copies:
            option = problem.options[group.option]
            if option.bin_type != one_bin.bin_type or group.num_copies < 1:
                raise CheckError(
                    f"a bin of type {one_bin.bin_type} cannot hold {group} of "
                    f"{_named(problem, option.job)}"
                )
            most = option.rate * group.num_copies
            if not 0 <= group.service <= most * (1 + TOLERANCE):
                raise CheckError(
                    f"{_named(problem, option.job)} serves {group.service} by "
                    f"{group.num_copies} copies, more than {most}"
                )
            copies[option.job] += group.num_copies * one_bin.multiplicity
            served[option.job] += group.service * one_bin.multiplicity
            for dimension in range(problem.num_dimensions):
                fixed[dimension] += option.fixed[dimension] * group.num_copies
                loaded[dimension] += (
                    option.proportional[dimension] * group.service / option.rate
                )
        for dimension, (whole, part, capacity) in enumerate(
            zip(fixed, loaded, bin_type.capacity, strict=True)
        ):
            # What does not depend on service is a sum of whole numbers.
            if whole > capacity or (part and whole + part > capacity * (1 + TOLERANCE)):
                raise CheckError(
                    f"a bin of {_held(problem, one_bin)} holds {whole + part} in "
                    f"dimension {dimension}, more than {capacity}"
                )
    for bin_type_index, (count, bin_type) in enumerate(
        zip(used_bins, problem.bin_types, strict=True)
    ):
        if bin_type.count is not None and count > bin_type.count:
            raise CheckError(
                f"{count} bins of type {bin_type_index}, of which there are "
                f"{bin_type.count}"
            )
    cost = sum(
        count * one.cost
        for count, one in zip(used_bins, problem.bin_types, strict=True)
    )
    if problem.budget is not None and cost > problem.budget:
        raise CheckError(f"the bins cost {cost}, more than {problem.budget}")
    for index, job in enumerate(problem.jobs):
        named = _named(problem, index)
        if job.is_optional and copies[index] == 0:
            continue
        exactly = job.is_whole and not job.is_optional
        if copies[index] < job.copies and not (job.is_whole and job.is_optional):
            raise CheckError(f"{named} has {copies[index]} of {job.copies} copies")
        if exactly and copies[index] != job.copies:
            raise CheckError(f"{named} has {copies[index]} of {job.copies} copies")
        if job.demand is None:
            continue
        if job.max_copies is not None and copies[index] > job.max_copies:
            raise CheckError(
                f"{named} has {copies[index]} copies, at most {job.max_copies}"
            )
        if served[index] > job.demand * (1 + TOLERANCE):
            raise CheckError(f"{named} is served beyond its demand")
        is_promised = in_full and not job.is_optional
        if is_promised and served[index] < job.demand * (1 - TOLERANCE):
            raise CheckError(
                f"{named} is served {served[index]} of its demand of {job.demand}"
            )


def _named(problem: CapacityProblem, job: int) -> str:
    """Return what a message calls a job."""
    name = problem.jobs[job].name
    return name or f"job {job}"


def _held(problem: CapacityProblem, one_bin: FilledBin) -> str:
    """Return in words what a bin holds."""
    jobs = dict.fromkeys(problem.options[one.option].job for one in one_bin.copies)
    return ", ".join(_named(problem, job) for job in jobs) or "nothing"
