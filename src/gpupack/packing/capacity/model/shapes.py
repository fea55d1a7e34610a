"""Sizes of options as shares of the bin they go into."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.packing.capacity.model.configurations import useful_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.packing.capacity.model.capacity_problem import CapacityProblem


@dataclass(frozen=True, slots=True)
class Shapes:
    """The options of one bin type that can be of use, as shares of the bin.

    Args:
        options: Their indices.
        fixed: Per option and dimension, taken in full by a copy.
        loaded: The same, taken by a copy at its full rate.
        most: Per option, copies of any use in one bin.
        most_load: Per option, copies at full rate that serve the whole demand;
            infinite for jobs of whole copies.
        implied: Dimensions that hold whenever another does.
    """

    options: tuple[int, ...]
    fixed: Mapping[int, tuple[float, ...]]
    loaded: Mapping[int, tuple[float, ...]]
    most: Mapping[int, int]
    most_load: Mapping[int, float]
    implied: frozenset[int]


def shapes_of(problem: CapacityProblem, bin_type: int) -> Shapes:
    """Return the shapes of a bin type's options."""
    capacity = problem.bin_types[bin_type].capacity
    options = useful_options(problem, bin_type)
    fixed, loaded = (
        {
            index: tuple(
                size / most if most else 0.0
                for size, most in zip(sizes[index], capacity, strict=True)
            )
            for index in options
        }
        for sizes in (
            [one.fixed for one in problem.options],
            [one.proportional for one in problem.options],
        )
    )
    demands = {
        index: problem.jobs[problem.options[index].job].demand for index in options
    }
    return Shapes(
        options,
        fixed,
        loaded,
        {index: problem.most_copies(index) for index in options},
        {
            index: math.inf if demand is None else demand / problem.options[index].rate
            for index, demand in demands.items()
        },
        _implied(fixed, loaded, problem.num_dimensions),
    )


def _implied(
    fixed: Mapping[int, tuple[float, ...]],
    loaded: Mapping[int, tuple[float, ...]],
    num_dimensions: int,
) -> frozenset[int]:
    implied: set[int] = set()
    for dimension in range(num_dimensions):
        for other in range(num_dimensions):
            if other == dimension or other in implied:
                continue
            if all(
                fixed[index][dimension] <= fixed[index][other]
                and loaded[index][dimension] <= loaded[index][other]
                for index in fixed
            ):
                implied.add(dimension)
                break
    return frozenset(implied)
