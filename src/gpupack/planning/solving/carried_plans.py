"""Plans and bounds of a frontier carried from one budget to the others.

A plan within a budget is within every larger one, and what no plan of a larger budget
yields, none of a smaller one does. So what a search cut short has missed elsewhere is
made good: more money is never worse, and a bound never falls with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.records.placement import PlacementStatus

if TYPE_CHECKING:
    from gpupack.placement import Placement

PROVED = 1e-6
"""The distance of value and bound, as a share of the value, that counts as none."""


@dataclass(frozen=True)
class Step:
    """The placement and the bound that the search for one budget returned.

    Args:
        budget: A number of GPUs, or a price per hour.
        placement: What was found; None if nothing was in time.
        bound: Of the objective: no placement within the budget has more.
        proved_by: What proved it.
    """

    budget: float
    placement: Placement | None
    bound: float
    proved_by: str


def carried(
    steps: Sequence[Step],
    *,
    is_within: Callable[[Placement, float], bool],
    rank: Callable[[Placement], tuple[float, ...]],
) -> tuple[list[tuple[float, Placement]], list[float]]:
    """Return the best placement of each budget that buys more, and budgets without any.

    Args:
        steps: In the order of the budget, ascending.
        is_within: Whether a placement is within a budget.
        rank: What makes a placement better, the objective first; of equal ones the
            first is kept.
    """
    plans = [one.placement for one in steps if one.placement is not None]
    bounds = list(steps)
    for index in reversed(range(len(bounds) - 1)):
        if bounds[index + 1].bound < bounds[index].bound:
            bounds[index] = bounds[index + 1]
    rows: list[tuple[float, Placement]] = []
    without = []
    best: Placement | None = None
    for step, bound in zip(steps, bounds, strict=True):
        affordable = [one for one in plans if is_within(one, step.budget)]
        if not affordable:
            without.append(step.budget)
            continue
        chosen = max(affordable, key=rank)
        if best is None or rank(chosen) > rank(best):
            best = chosen
            rows.append((step.budget, _bounded(chosen, bound)))
    return rows, without


def _bounded(placement: Placement, step: Step) -> Placement:
    """Return a placement with the bound of a step, if it is another than its own."""
    bound = max(step.bound, placement.objective_value)
    if bound == placement.bound:
        return placement
    value = placement.objective_value
    distance = bound - value
    return placement.model_copy(
        update={
            "bound": bound,
            "proved_by": step.proved_by,
            "gap": distance / value if value else 0.0,
            "status": PlacementStatus.OPTIMAL
            if distance <= PROVED * abs(value)
            else PlacementStatus.FEASIBLE,
        }
    )
