"""An independent check of a packing: plain Python integers, nothing shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import CheckError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.items.model.problem import PackingProblem
    from gpupack.packing.items.model.solution import Bin, PackingResult


def check_packing(problem: PackingProblem, bins: Sequence[Bin]) -> None:
    """Check that ``bins`` hold every item exactly once and none overflows.

    Raises:
        CheckError: Naming the bin or item type that is wrong.
    """
    placed = [0] * len(problem.item_types)
    for bin_index, one_bin in enumerate(bins):
        if one_bin.multiplicity < 1 or not one_bin.counts:
            raise CheckError(f"bin {bin_index} is empty or has no copies: {one_bin}")
        used = [0] * len(problem.capacity)
        for type_index, count in one_bin.counts:
            if not 0 <= type_index < len(placed) or count < 1:
                raise CheckError(
                    f"bin {bin_index} holds {count} of item type {type_index}"
                )
            placed[type_index] += count * one_bin.multiplicity
            for dimension, size in enumerate(problem.item_types[type_index].sizes):
                used[dimension] += size * count
        for dimension, (total, capacity) in enumerate(
            zip(used, problem.capacity, strict=True)
        ):
            if total > capacity:
                raise CheckError(
                    f"bin {bin_index} holds {total} in dimension {dimension}, "
                    f"more than {capacity}"
                )
    for type_index, item_type in enumerate(problem.item_types):
        if placed[type_index] != item_type.count:
            raise CheckError(
                f"item type {type_index} was packed {placed[type_index]} times, "
                f"not {item_type.count}"
            )


def check_result(problem: PackingProblem, result: PackingResult) -> None:
    """Check the packing, and that it does not beat its own bound.

    Raises:
        CheckError: If the packing is wrong or has fewer bins than the bound.
    """
    check_packing(problem, result.bins)
    if result.num_bins < result.bound:
        raise CheckError(
            f"{result.num_bins} bins beat the bound of {result.bound}: the bound is "
            "wrong"
        )
