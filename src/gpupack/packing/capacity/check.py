"""An independent check of a capacity plan: plain numbers, nothing shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import CheckError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.plan import FilledBin
    from gpupack.packing.capacity.problem import CapacityProblem

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
        CheckError: Naming the bin or job that is wrong.
    """
    served = [0.0] * len(problem.jobs)
    copies = [0] * len(problem.jobs)
    used_bins = [0] * len(problem.bin_types)
    for index, one_bin in enumerate(bins):
        bin_type = problem.bin_types[one_bin.bin_type]
        used_bins[one_bin.bin_type] += one_bin.multiplicity
        if not problem.is_allowed(one_bin.bin_type, one_bin.counts):
            raise CheckError(f"bin {index} holds copies that may not share a bin")
        used = [0.0] * problem.num_dimensions
        for group in one_bin.copies:
            option = problem.options[group.option]
            if option.bin_type != one_bin.bin_type or group.num_copies < 1:
                raise CheckError(f"bin {index} cannot hold {group}")
            most = option.rate * group.num_copies
            if not 0 <= group.service <= most * (1 + TOLERANCE):
                raise CheckError(
                    f"bin {index}: {group} serves more than its {most} at most"
                )
            copies[option.job] += group.num_copies * one_bin.multiplicity
            served[option.job] += group.service * one_bin.multiplicity
            for dimension in range(problem.num_dimensions):
                used[dimension] += option.fixed[dimension] * group.num_copies
                used[dimension] += (
                    option.proportional[dimension] * group.service / option.rate
                )
        for dimension, (total, capacity) in enumerate(
            zip(used, bin_type.capacity, strict=True)
        ):
            if total > capacity * (1 + TOLERANCE):
                raise CheckError(
                    f"bin {index} holds {total} in dimension {dimension}, more than "
                    f"{capacity}"
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
        if job.is_optional and copies[index] == 0:
            continue
        called = job.name or f"job {index}"
        exactly = job.is_whole and not job.is_optional
        if copies[index] < job.copies and not (job.is_whole and job.is_optional):
            raise CheckError(f"{called} has {copies[index]} of {job.copies} copies")
        if exactly and copies[index] != job.copies:
            raise CheckError(f"{called} has {copies[index]} of {job.copies} copies")
        if job.demand is None:
            continue
        if job.max_copies is not None and copies[index] > job.max_copies:
            raise CheckError(
                f"{called} has {copies[index]} copies, at most {job.max_copies}"
            )
        if served[index] > job.demand * (1 + TOLERANCE):
            raise CheckError(f"{called} is served beyond its demand")
        is_promised = in_full and not job.is_optional
        if is_promised and served[index] < job.demand * (1 - TOLERANCE):
            raise CheckError(
                f"{called} is served {served[index]} of its demand of {job.demand}"
            )
