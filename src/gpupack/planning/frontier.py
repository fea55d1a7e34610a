"""The trade-off between hardware and throughput: ``frontier()``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import whole_number
from gpupack.planning.fleet import GpusLike, require_prices
from gpupack.planning.frontier_steps import FrontierSteps
from gpupack.planning.headroom import HeadroomLike
from gpupack.planning.load_points import LoadPointLike
from gpupack.planning.place import require_profiles, require_valid_search
from gpupack.planning.question import CapacityQuestion, ask
from gpupack.planning.trade_off import Frontier
from gpupack.planning.wishes import (
    LatencyLimitLike,
    ReplicasLike,
    Wishes,
    resolve_wishes,
)
from gpupack.quoting import quoted
from gpupack.records.placement import Objective

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet


def frontier(
    profiles: ProfileSet,
    *,
    by: str = "gpus",
    budgets: Sequence[float] | None = None,
    max_points: int = 20,
    gpus: GpusLike | None = None,
    prices: Mapping[str, float] | None = None,
    headroom: HeadroomLike = 1.0,
    load_point: LoadPointLike | None = None,
    demand: Mapping[str, float] | None = None,
    latency_limit_ms: LatencyLimitLike | None = None,
    latency_percentile: int = 99,
    replicas: ReplicasLike | None = None,
    weights: Mapping[str, float] | None = None,
    optional: Sequence[str] = (),
    find_headroom: bool = True,
    time_limit_s: float = 10.0,
    seed: int = 0,
    allow_unstable: bool = False,
) -> Frontier:
    """Return the most throughput for each number of GPUs, or for each budget.

    From the fewest GPUs that hold every model to the fewest on which nothing more is
    gained: every demand is met. A model without a demand is taken to want what its
    instances yield at their best load point; in between it is slowed down, and never
    gets more instances than ``replicas``.

    Args:
        profiles: As for ``place()``, and so are the arguments not listed here.
        by: ``"gpus"`` for numbers of GPUs, ``"price"`` for budgets per hour.
        budgets: The numbers of GPUs, or the prices per hour, to plan for; left out,
            at most ``max_points`` of them, evenly spread over the whole range, less
            those that yield no more than the one before. What costs at most a
            thousand-millionth of a price more than it is within it.
        max_points: See ``budgets``.
        gpus: As for ``place()``.
        prices: As for ``place()``; needed for ``by="price"``.
        headroom: Memory and both utilizations bind, as for ``max_throughput``.
        load_point: As for ``place()``.
        demand: As for ``place()``.
        latency_limit_ms: As for ``place()``.
        latency_percentile: As for ``place()``.
        replicas: As for ``place()``.
        weights: As for ``place()``; the throughput is then a weighted one.
        optional: As for ``place()``: left out while GPUs are few, but wanted all the
            same, so that the last step serves them, too.
        find_headroom: Also search, for each step, the lowest headroom of the
            utilizations (in whole percent) at which as many GPUs
            as it uses, or as much money as it spends, serve everything: what the step
            takes from the models, in the terms of ``headroom``. None where memory is
            in the way.
        time_limit_s: For each step.
        seed: For every random choice.
        allow_unstable: As for ``place()``.

    Returns:
        The steps, in the order of the budget, each with its placement and bound. A
        budget for which no placement was found within the time limit has no step, but
        is among its ``budgets_not_placed``.

    Raises:
        InvalidInputError: If an argument cannot be used, or prices are missing.
        InfeasibleError: If the models do not even fit when idle, or a budget is too
            small for that.
    """
    require_profiles(profiles)
    time_limit_s, seed = require_valid_search(time_limit_s, seed)
    if not isinstance(by, str) or by not in ("gpus", "price"):
        raise InvalidInputError(f'by is {quoted(by)}; it must be "gpus" or "price"')
    points = whole_number(max_points)
    if points is None or points < 2:
        raise InvalidInputError(
            f"max_points is {quoted(max_points)}; it must be a whole number ≥ 2"
        )
    question = ask(
        profiles,
        Objective.MAX_THROUGHPUT,
        gpus=gpus,
        prices=prices,
        headroom=headroom,
        load_point=load_point,
        wishes=resolve_wishes(
            profiles.model_names,
            demand=demand,
            latency_limit_ms=latency_limit_ms,
            latency_percentile=latency_percentile,
            replicas=replicas,
            weights=weights,
            optional=optional,
        ),
        carry_memory_over=False,
        sharing=None,
        allow_unstable=allow_unstable,
    )
    if by == "price":
        require_prices(question.fleet)
    question = replace(question, wishes=_demand_of_all(question))
    steps = FrontierSteps(question, by, time_limit_s=time_limit_s, seed=seed)
    found = list(steps.walk(steps.budgets(budgets, points)))
    if budgets is None:
        found = _steps_up(found)
    return Frontier(
        points=tuple(
            steps.point(budget, placement, find_headroom=find_headroom)
            for budget, placement in found
        ),
        placements=tuple(placement for _, placement in found),
        wanted_infer_per_sec=steps.wanted,
        budgets_not_placed=tuple(steps.not_placed),
    )


def _steps_up(
    found: Sequence[tuple[float, Placement]],
) -> list[tuple[float, Placement]]:
    """Leave out budgets for which more money buys nothing more."""
    kept: list[tuple[float, Placement]] = []
    for budget, placement in found:
        if kept and placement.objective_value <= kept[-1][1].objective_value:
            continue
        kept.append((budget, placement))
    return kept


def _demand_of_all(question: CapacityQuestion) -> Wishes:
    """Return the wishes with a demand of every model; else what its instances yield."""
    wishes = question.wishes
    demand = dict(wishes.demand)
    most = {}
    for name in question.model_names:
        if name in demand:
            continue
        best = max(
            record.throughput_infer_per_sec or 0.0
            for supply in question.supplies
            for record in supply.records.get(name, ())
        )
        most[name] = wishes.replicas.get(name, 1)
        demand[name] = best * most[name]
    return replace(wishes, demand=demand, most_replicas=most)
