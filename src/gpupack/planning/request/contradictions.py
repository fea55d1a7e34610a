"""Checks that what is asked makes sense: by itself, and with the profiles there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.planning.request.estimates import estimated_types
from gpupack.planning.request.places import named_setting, named_wish
from gpupack.quoting import listed, quoted_all
from gpupack.records.request import (
    ContentionRule,
    Fairness,
    LatencyRule,
    Objective,
    as_path,
)
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.planning.request.wishes import Wishes
    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import Fleet
    from gpupack.records.request import Request


def require_profiles(request: Request, model_names: Sequence[str]) -> None:
    """Check that every model asked for has a profile.

    Raises:
        UnknownNameError: Naming those without, as the request's file does.
    """
    known = frozenset(model_names)
    unknown = sorted(
        name
        for name, wishes in request.models.items()
        # A placement holds no profiles of models that were left out of it.
        if name not in known and not wishes.left_out
    )
    if unknown:
        paths = listed(
            [
                request.place_of("models", name) or as_path(("models", name))
                for name in unknown
            ]
        )
        others = (
            ". The request was made for other profiles: name those, or let "
            "`gpupack init` write one for these"
            if len(unknown) == len(request.models)
            else ""
        )
        raise UnknownNameError(
            f"{paths}: there is no profile of {quoted_all(unknown)}; there are "
            f"profiles of {quoted_all(model_names) or 'nothing'}{others}"
        )


def left_out_of(request: Request, model_names: Sequence[str]) -> set[str]:
    """Return the models that are not planned for.

    Raises:
        InvalidInputError: If every model is left out.
    """
    left_out = {name for name in model_names if request.of_model(name).left_out}
    if left_out and len(left_out) == len(model_names):
        raise InvalidInputError(
            f"{named_setting(request, 'without', model_names=left_out)} leaves out "
            "every model: nothing is left to plan for"
        )
    return left_out


def require_sense(request: Request, wishes: Wishes) -> None:
    """Check that wishes do not contradict each other.

    Raises:
        InvalidInputError: If weights, fairness or prediction are asked for where
            throughput is not the objective, so is a budget, or both budgets are,
            max-min fairness without a demand, or more replicas at least than at most.
    """
    goal = request.objective
    if request.contention is ContentionRule.PREDICTED and (
        goal is not Objective.MAX_THROUGHPUT
    ):
        raise InvalidInputError(
            f"{named_setting(request, 'contention', 'predicted')} is for "
            "max_throughput; with other "
            f"objectives, {setting('min_retention')} says what models shall keep"
        )
    budgets = [
        name
        for name in ("max_gpus", "max_price_per_hour")
        if getattr(request, name) is not None
    ]
    if budgets and goal is not Objective.MAX_THROUGHPUT:
        raise InvalidInputError(
            f"{named_setting(request, budgets[0])} is what max_throughput may spend, "
            "but the "
            f"objective is {goal.value}, which spends the least; use "
            f"{setting('objective', 'max_throughput')}, or count the GPUs there are: "
            f"{_counted_gpus()}"
        )
    if len(budgets) > 1:
        raise InvalidInputError(
            f"{' and '.join(named_setting(request, one) for one in budgets)} are both "
            "given; give one, and "
            f"count the GPUs there are for the other: {_counted_gpus()}"
        )
    for name, most in wishes.most_replicas.items():
        least = wishes.replicas.get(name, 1)
        if least > most:
            raise InvalidInputError(
                f"{named_wish(request, 'max_replicas', name)} is {most}, but {least} "
                f"replicas are asked for at least ("
                f"{named_wish(request, 'replicas', name)}); raise the one or lower the "
                "other"
            )
    if goal is not Objective.MAX_THROUGHPUT:
        for argument, is_given in (
            ("weights", bool(wishes.weights)),
            ("fairness", wishes.fairness is not Fairness.SUM),
        ):
            if is_given:
                named = named_setting(request, argument, model_names=wishes.weights)
                raise InvalidInputError(
                    f"{named} decides between models when throughput is "
                    f"short, but the objective is {goal.value}; use "
                    f"{setting('objective', 'max_throughput')}"
                )
    if wishes.fairness is Fairness.MAX_MIN and not any(
        value > 0 and name not in wishes.optional
        for name, value in wishes.demand.items()
    ):
        raise InvalidInputError(
            f"{named_setting(request, 'fairness', 'max_min')} shares out the demand of "
            "models that are not optional, but none is above 0; give "
            + setting("demand", python="{model: infer/sec}", shell="MODEL=RATE")
        )


def require_traffic_of_limits(request: Request, wishes: Wishes) -> None:
    """Check that models whose latency is to be predicted are given traffic.

    Raises:
        InvalidInputError: Naming those that have a limit alone.
    """
    if request.latency is not LatencyRule.PREDICTED:
        return
    without = [
        name for name in wishes.latency_limit_ms if not wishes.demand.get(name, 0.0)
    ]
    if without:
        raise InvalidInputError(
            f"{named_setting(request, 'latency', 'predicted')} is about requests that "
            f"arrive: give "
            f"{setting('demand')} above 0 for {listed(sorted(without))}, or leave the "
            "limit of a model without traffic out"
        )


def require_measured(
    request: Request,
    wishes: Wishes,
    fleet: Fleet,
    profiles: ProfileSet,
    *,
    keeps_demand: bool,
) -> None:
    """Check that nothing is promised by estimates of another GPU type.

    Raises:
        InvalidInputError: Naming the promise and the type.
    """
    predicted = ContentionRule.PREDICTED
    promises = [
        (argument, value, model_names)
        for argument, value, model_names, is_asked in (
            ("demand_met", "predicted", (), keeps_demand),
            ("min_retention", None, wishes.min_retention, bool(wishes.min_retention)),
            (
                "latency_limit_ms",
                None,
                wishes.latency_limit_ms,
                bool(wishes.latency_limit_ms),
            ),
            ("contention", "predicted", (), request.contention is predicted),
        )
        if is_asked
    ]
    if not promises:
        return
    planned = {entry.gpu_type.name for entry in fleet.entries}
    types = sorted(planned.intersection(estimated_types(profiles.records)))
    if types:
        told = [
            named_setting(request, argument, value, model_names=model_names)
            for argument, value, model_names in promises
        ]
        raise InvalidInputError(
            f"{' and '.join(told)} cannot be promised on {listed(types)}: nothing "
            "was measured there, and estimates by published figures promise nothing. "
            f"Profile there, or leave it out of {setting('gpus')}"
        )


def _counted_gpus() -> str:
    return setting("gpus", python="{name: count}", shell="NAME=COUNT")
