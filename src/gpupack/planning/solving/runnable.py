"""Placements that are easier to run: no replica of next to nothing, one load point.

What a replica must serve at least, and that all replicas of a model run alike, are no
linear conditions. So the question is asked without them first, whose bound holds, and
then, where the answer breaks them, with the number of replicas and the load point of
those models fixed.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import GpupackError, InvalidInputError, NotFoundInTimeError
from gpupack.packing import Deadline
from gpupack.planning.request import named_wish
from gpupack.planning.solving.building import Clash
from gpupack.quoting import quoted
from gpupack.records.placement import Objective, PlacementStatus
from gpupack.spelling import setting
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.planning.request import Wishes
    from gpupack.planning.solving.building import Found
    from gpupack.planning.solving.kept_demand import Answerer
    from gpupack.records.profile import LoadPoint

_FIRST_SHARE = 0.4
_TRAFFIC_TOLERANCE = 1e-5


def answer_runnable(
    question: CapacityQuestion,
    answer: Answerer,
    *,
    time_limit_s: float,
    seed: int,
    is_trial: bool,
    progress: Callable[[Found], None] | None = None,
) -> Found | Clash:
    """Return the best that was found which keeps ``min_traffic`` and one load point.

    Args:
        question: What is asked.
        answer: Answers questions without these wishes.
        time_limit_s: Wall time of all searches together.
        seed: For every random choice.
        is_trial: Whether only value and bound are wanted.
        progress: Called with what is found while the search goes on: better answers,
            or the best at a tighter bound.

    Returns:
        A clash if there is nothing even without these wishes, or nothing was found
        that keeps them.

    Raises:
        InvalidInputError: If ``min_traffic`` is asked for with ``max_throughput``, or
            more replicas than can have so much.
    """
    wishes = question.wishes
    _require_sense(question)
    deadline = Deadline.after(time_limit_s)
    free = replace(
        question,
        wishes=replace(wishes, min_traffic={}, one_load_point=frozenset()),
    )
    first = answer(
        free, time_limit_s=_FIRST_SHARE * time_limit_s, seed=seed, is_trial=is_trial
    )
    if isinstance(first, Clash) or _is_runnable(first, wishes):
        return first
    best: Found | None = None
    trials = _fixed(first, free, wishes)
    for index, trial in enumerate(trials):
        try:
            found = answer(
                trial,
                time_limit_s=deadline.remaining_s / (len(trials) - index),
                seed=seed,
                is_trial=is_trial,
            )
        except GpupackError:
            continue
        if isinstance(found, Clash):
            continue  # so few replicas, or this load point, do not do
        if _is_runnable(found, wishes) and (best is None or found.is_better_than(best)):
            best = found
            if progress is not None:
                progress(
                    replace(best, bound=first.bound, status=PlacementStatus.FEASIBLE)
                )
    if best is None:
        return Clash(_not_found)
    is_proved = (
        best.value >= first.bound
        if best.unit.is_maximized
        else best.value <= first.bound
    )
    return replace(
        best,
        bound=first.bound,
        status=PlacementStatus.OPTIMAL if is_proved else PlacementStatus.FEASIBLE,
        proved_by=first.proved_by or first.method,
    )


def _not_found() -> NotFoundInTimeError:
    return NotFoundInTimeError(
        f"no placement was found that keeps {setting('min_traffic')} and "
        f"{setting('one_load_point')}, and none is proved impossible; lower "
        f"{setting('min_traffic')}, or leave load points free"
    )


def _is_runnable(found: Found, wishes: Wishes) -> bool:
    """Return whether GPUs keep ``min_traffic`` and one load point per model."""
    points: dict[str, set[LoadPoint]] = {}
    traffic: dict[str, list[float]] = {}
    for gpu in found.gpus:
        for one in gpu.instances:
            name = one.record.model_name
            points.setdefault(name, set()).add(one.record.load_point)
            # One alone may have less: of many that are equal, two say that there are.
            traffic.setdefault(name, []).extend(
                [one.served_infer_per_sec or 0.0] * min(2, gpu.num_gpus)
            )
    return all(
        len(used) == 1 for name, used in points.items() if name in wishes.one_load_point
    ) and all(
        len(served) == 1 or min(served) >= least * (1 - _TRAFFIC_TOLERANCE)
        for name, least in wishes.min_traffic.items()
        if (served := traffic.get(name, []))
    )


def _require_sense(question: CapacityQuestion) -> None:
    wishes = question.wishes
    if wishes.min_traffic and question.objective is Objective.MAX_THROUGHPUT:
        raise InvalidInputError(
            f"{_named(wishes, min(wishes.min_traffic))} is a share of a demand that is "
            "met in full, but the objective is max_throughput; use min_gpus or min_cost"
        )
    for name, least in wishes.min_traffic.items():
        replicas = wishes.replicas.get(name, 1)
        demand = wishes.demand.get(name)
        if demand is None:
            raise InvalidInputError(
                f"{_named(wishes, name)} is {in_digits(least, 6)} infer/sec of a "
                "replica, but the model has no demand; give it one"
            )
        if replicas > 1 and demand < replicas * least:
            raise InvalidInputError(
                f"{_named(wishes, name)} is {in_digits(least, 6)} infer/sec, but "
                f"{replicas} replicas share a demand of {in_digits(demand, 6)}; lower "
                "the one or the other"
            )


def _named(wishes: Wishes, model_name: str) -> str:
    if wishes.request is None:
        return f"min_traffic of {quoted(model_name)}"
    return named_wish(wishes.request, "min_traffic", model_name)


def _most_replicas(wishes: Wishes) -> dict[str, int]:
    """Return how many replicas can have their least traffic, by model name."""
    return {
        name: min(
            max(1, math.floor(wishes.demand[name] / least * (1 + _TRAFFIC_TOLERANCE))),
            wishes.most_replicas.get(name, 1_000_000),
        )
        for name, least in wishes.min_traffic.items()
    }


def _fixed(
    first: Found, free: CapacityQuestion, wishes: Wishes
) -> list[CapacityQuestion]:
    """Return questions with the replicas and load points of some models fixed."""
    trials: list[CapacityQuestion] = []
    for by_traffic in (True, False):
        pinned = _at_one_point(first, free, wishes, by_traffic=by_traffic)
        if not wishes.min_traffic:
            trials.append(pinned)
            continue
        counts: Counter[str] = Counter()
        for gpu in first.gpus:
            for one in gpu.instances:
                counts[one.record.model_name] += gpu.num_gpus
        most_replicas = _most_replicas(wishes)
        fewest_replicas = {
            name: _fewest_replicas(pinned, name) for name in most_replicas
        }
        if any(fewest_replicas[name] > most for name, most in most_replicas.items()):
            continue  # so many as the demand needs cannot all have so much
        for more in (None, 0, 1):
            fixed = {}
            for name, most in most_replicas.items():
                fewest = fewest_replicas[name]
                number = counts[name] if more is None else fewest + more
                fixed[name] = max(fewest, min(most, number))
            trials.append(
                replace(
                    pinned, fixed_replicas=fixed, least_traffic=dict(wishes.min_traffic)
                )
            )
    return trials


def _fewest_replicas(question: CapacityQuestion, name: str) -> int:
    most_ratio = max(one.most_ratio for one in question.load_levels)
    rates = [
        (record.throughput_infer_per_sec or 0.0) * most_ratio
        for supply in question.supplies
        for record in supply.records.get(name, ())
    ]
    needed = question.wishes.demand[name] / max(rates, default=1.0)
    return max(
        1,
        question.wishes.replicas.get(name, 1),
        math.ceil(needed * (1 - _TRAFFIC_TOLERANCE)),
    )


def _at_one_point(
    first: Found, free: CapacityQuestion, wishes: Wishes, *, by_traffic: bool
) -> CapacityQuestion:
    """Return the question with models that shall run alike at one load point each.

    Args:
        first: An answer without that.
        free: Its question.
        wishes: Who shall run alike.
        by_traffic: Whether the load point is the one that serves most in the answer;
            else the one with the most throughput.
    """
    served: dict[str, dict[LoadPoint, float]] = {}
    for gpu in first.gpus:
        for one in gpu.instances:
            point = one.record.load_point
            rate = one.served_infer_per_sec or one.record.throughput_infer_per_sec
            here = served.setdefault(one.record.model_name, {})
            here[point] = here.get(point, 0.0) + gpu.num_gpus * (rate or 0.0)
    fastest: dict[str, tuple[float, LoadPoint]] = {}
    for supply in free.supplies:
        for name, records in supply.records.items():
            for record in records:
                rate = record.throughput_infer_per_sec or 0.0
                if name not in fastest or rate > fastest[name][0]:
                    fastest[name] = rate, record.load_point
    points = {
        name: _most_served(served[name])
        if by_traffic and name in served
        else fastest[name][1]
        for name in wishes.one_load_point
        if name in fastest
    }
    return replace(
        free,
        supplies=tuple(
            supply.with_records(
                lambda one: points.get(one.model_name, one.load_point) == one.load_point
            )
            for supply in free.supplies
        ),
    )


def _most_served(traffic: dict[LoadPoint, float]) -> LoadPoint:
    return max(traffic, key=lambda point: (traffic[point], point.sort_key))
