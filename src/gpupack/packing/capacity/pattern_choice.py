"""A plan from the patterns of column generation, by an integer program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.capacity.model import MAX_ENUMERATED, PlanStatus, taken_apart

if TYPE_CHECKING:
    from gpupack.packing.capacity.model import CapacityPlan, Configuration
    from gpupack.packing.capacity.relaxing import Relaxation
    from gpupack.packing.capacity.task import Task

    Uses = tuple[tuple[Configuration, int], ...]

MAX_EXTRA_CONFIGURATIONS = 150
"""Configurations beside those the relaxation uses that the program may choose from."""


def choose_patterns(
    task: Task,
    relaxation: Relaxation,
    bound: float,
    *,
    hint: Uses,
    known_value: float | None,
) -> CapacityPlan:
    """Return the best plan over the most promising configurations.

    Args:
        task: What is planned.
        relaxation: Whose configurations to choose from.
        bound: Proven: no plan is better.
        hint: A plan to start from.
        known_value: Of a plan that is known: none is worse.
    """
    chosen = relaxation.configurations[: relaxation.num_used + MAX_EXTRA_CONFIGURATIONS]
    chosen = tuple(dict.fromkeys([*(one for one, _ in hint), *chosen]))
    if any(job.max_copies is not None for job in task.problem.jobs):
        # Patterns that share a job of few copies exclude each other, unless they
        # are taken apart.
        every_type = range(len(task.problem.bin_types))
        parts = taken_apart(task.problem, chosen, every_type)
        if len(parts) <= MAX_ENUMERATED:
            chosen = tuple(parts)
    result, bins = task.completion.choose(chosen, hint=hint, known_value=known_value)
    if result.state == "unknown" and hint:
        few = [one for one, _ in hint]
        result, bins = task.completion.choose(few, hint=hint)
    if result.state in {"infeasible", "unknown"}:
        return task.completion.without_plan(PlanStatus.UNKNOWN, "column generation")
    return task.completion.plan(
        bins, bound, "column generation", found_by="integer program"
    )
