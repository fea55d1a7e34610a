"""Mean value analysis: the rates of all classes of a closed queueing network.

The recursion and its sources are at the top of ``contention``.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from gpupack.planning.delays import PROCESSOR_SHARING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.delays import CustomerClass, SharingShape

MAX_EXACT_CUSTOMERS = 10
"""Populations up to this many customers are solved exactly."""
_FIXED_POINT_TOLERANCE = 1e-10
_MAX_FIXED_POINT_STEPS = 10_000


def rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    own_elsewhere_s: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Return every class's requests per second when all share one GPU.

    Exact up to ``MAX_EXACT_CUSTOMERS`` customers, approximate beyond.

    Args:
        classes: At least one.
        contention_factor: ``c``.
        shape: Of the sharing mode.
        own_elsewhere_s: What each class's time elsewhere would be while its own rate is
            asked for, one class at a time; that of the class if left out. By the
            arrival theorem a class of one customer finds the others as they are
            without it, whatever time it spends elsewhere itself.
    """
    solve = (
        exact_rates
        if sum(one.num_customers for one in classes) <= MAX_EXACT_CUSTOMERS
        else approximate_rates
    )
    return solve(
        classes,
        contention_factor=contention_factor,
        shape=shape,
        own_elsewhere_s=own_elsewhere_s,
    )


def exact_rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    own_elsewhere_s: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Return the rates by mean value analysis over all populations.

    Takes O(classes × Π (customers + 1)): under 0.1 ms for six models of one customer.
    """
    strides: list[int] = []
    num_populations = 1
    for one in classes:
        strides.append(num_populations)
        num_populations *= one.num_customers + 1
    inputs = [
        (
            index,
            stride,
            one.num_customers + 1,
            one.gpu_demand_s,
            one.elsewhere_s,
            delays,
        )
        for index, (stride, one, delays) in enumerate(
            zip(
                strides,
                classes,
                _delays(classes, contention_factor, shape),
                strict=True,
            )
        )
    ]
    queues = [[0.0] * len(classes) for _ in range(num_populations)]
    for population in range(1, num_populations):
        found = queues[population]
        for index, stride, radix, demand_s, elsewhere_s, delays in inputs:
            count = population // stride % radix
            if count:
                at_gpu_s = demand_s + sum(
                    map(operator.mul, delays, queues[population - stride])
                )
                found[index] = count * at_gpu_s / (elsewhere_s + at_gpu_s)
    last_elsewhere_s = own_elsewhere_s or [one.elsewhere_s for one in classes]
    return tuple(
        (radix - 1)
        / (own_s + demand_s + sum(map(operator.mul, delays, queues[-1 - stride])))
        for (_, stride, radix, demand_s, _, delays), own_s in zip(
            inputs, last_elsewhere_s, strict=True
        )
    )


def _delays(
    classes: Sequence[CustomerClass], contention_factor: float, shape: SharingShape
) -> list[list[float]]:
    """Return ``c · W_ij``, row by row."""
    return [
        [contention_factor * shape.delay_s(own, neighbor) for neighbor in classes]
        for own in classes
    ]


def approximate_rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    own_elsewhere_s: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Return the rates by the Schweitzer–Bard fixed point, for any population."""
    delays = _delays(classes, contention_factor, shape)
    queues = [one.num_customers / 2 for one in classes]

    def at_gpu_s(index: int) -> float:
        own = delays[index][index] * queues[index] / classes[index].num_customers
        return classes[index].gpu_demand_s + _dot(delays[index], queues) - own

    for _ in range(_MAX_FIXED_POINT_STEPS):
        change = 0.0
        updated = []
        for index, (one, queue) in enumerate(zip(classes, queues, strict=True)):
            here_s = at_gpu_s(index)
            new = one.num_customers * here_s / (one.elsewhere_s + here_s)
            change = max(change, abs(new - queue))
            updated.append((new + queue) / 2)
        queues = updated
        if change < _FIXED_POINT_TOLERANCE:
            break
    last_elsewhere_s = own_elsewhere_s or [one.elsewhere_s for one in classes]
    return tuple(
        one.num_customers / (last_elsewhere_s[index] + at_gpu_s(index))
        for index, one in enumerate(classes)
    )


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, first, second))
