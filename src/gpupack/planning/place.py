"""Decide which model goes where: ``place()``."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.arguments import require_kind
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.given_numbers import real_number, whole_number
from gpupack.planning.answer import answer
from gpupack.planning.explain import explain_question
from gpupack.planning.fleet import GpusLike
from gpupack.planning.headroom import HeadroomLike, resolve_objective
from gpupack.planning.load_points import LoadPointLike
from gpupack.planning.question import ask
from gpupack.planning.retention import MinRetentionLike, resolve_min_retention
from gpupack.planning.wishes import (
    Fairness,
    LatencyLimitLike,
    ReplicasLike,
    resolve_wishes,
)
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.environment import SharingMode
from gpupack.records.placement import Objective

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.placement import Placement


def place(
    profiles: ProfileSet,
    objective: Objective | str = Objective.MIN_GPUS,
    *,
    gpus: GpusLike | None = None,
    prices: Mapping[str, float] | None = None,
    headroom: HeadroomLike = 1.0,
    load_point: LoadPointLike | None = None,
    demand: Mapping[str, float] | None = None,
    latency_limit_ms: LatencyLimitLike | None = None,
    latency_percentile: int = 99,
    replicas: ReplicasLike | None = None,
    weights: Mapping[str, float] | None = None,
    fairness: Fairness | str | None = None,
    optional: Sequence[str] = (),
    carry_memory_over: bool = False,
    min_retention: MinRetentionLike | None = None,
    sharing: SharingMode | str | None = None,
    contention: str = "plain",
    time_limit_s: float = 10.0,
    seed: int = 0,
    allow_unstable: bool = False,
) -> Placement:
    """Return the best placement of every model, with what proves it.

    Args:
        profiles: What was measured. A model goes only on GPU types it was profiled on.
        objective: ``"min_gpus"``: the fewest GPUs (the cheapest of equally many);
            memory binds, and the utilizations too if there is a demand.
            ``"min_cost"``: the lowest price per hour; the same binds.
            ``"max_throughput"``: no model loses throughput, on the fewest GPUs; on a
            limited fleet with choices, the most weighted throughput. Memory and both
            utilizations bind.
        gpus: The supply: a catalogue name (``"16GB"``, ``"T4"``) or ``GpuType``, or
            types with counts, None for as many as needed
            (``{"L4": 8, "A100-80GB": None}``). Left out, as many as needed of the
            type that the profiles were measured on.
        prices: Per GPU and hour by GPU type, in your currency; gpupack ships none.
        headroom: The share that may be used of whatever binds (``0.8`` is 80 %), or
            a mapping that names exactly what binds: ``{"memory": 0.9,
            "gpu_utilization": 1.1}``. Memory never exceeds 1.
        load_point: Pins the load point (``"2x4"``: batch size × concurrency) of
            every model, or of some by name. Otherwise every record is an option.
        demand: Infer/sec to be served by model name, by as many replicas as needed.
            A replica takes its memory in full, its utilizations in proportion to the
            traffic it serves. 0 keeps a model loaded and idle.
        latency_limit_ms: Load points that exceed it, measured alone, are no options;
            nor are those without the percentile, of which a warning tells.
        latency_percentile: Of the limit: 50, 90, 95 or 99.
        replicas: Instances of every model, or by name: exactly so many of a model
            without a demand (default 1), at least so many of one with.
        weights: Of one infer/sec of a model in ``max_throughput``; default 1.
        fairness: ``"sum"``, or ``"max_min"``: make the smallest served share of
            demand as large as possible first.
        optional: Models that may be left out; all others are served at least once.
        carry_memory_over: Let models go on a GPU type without records, by the memory
            measured on another, where nothing but memory binds.
        min_retention: The share of its solo throughput that every model is
            predicted to keep beside its neighbours (``0.9``), or one by model name;
            models not named may lose anything. A replica counts as busy at its load
            point, even where it is to serve less. Left out, prediction decides nothing.
        sharing: How models share a GPU: ``"time_slicing"`` (what separate processes
            do by default), ``"mps"`` or ``"streams"``. The prediction depends on it.
        contention: ``"plain"``: headroom says what models lose, by plain sums.
            ``"predicted"``: ``max_throughput`` on a counted fleet maximizes the
            predicted throughput of all models; a plain headroom then binds memory
            alone, since the prediction takes the place of the utilizations.
        time_limit_s: When it runs out, the best placement so far is returned,
            with ``status`` FEASIBLE. 0 gives the best heuristic answer.
        seed: The same input and seed give the same placement.
        allow_unstable: Use measurements that never settled.

    Returns:
        The placement. Equally good ones are told apart by more throughput, lower
        highest utilization, then by model name.

    Raises:
        InvalidInputError: If an argument cannot be used; subclasses say more.
        MissingReadingError: If a binding resource, or what ``min_retention`` or a
            demand needs, was not measured.
        InfeasibleError: If a model fits on no GPU, no load point keeps a latency
            limit, or the supply is too small.
        NotFoundInTimeError: If no placement was found within the time limit, and none
            is proved impossible.
    """
    started = time.perf_counter()
    require_profiles(profiles)
    goal = resolve_objective(objective)
    time_limit_s, seed = require_valid_search(time_limit_s, seed)
    wishes = resolve_wishes(
        profiles.model_names,
        demand=demand,
        latency_limit_ms=latency_limit_ms,
        latency_percentile=latency_percentile,
        replicas=replicas,
        weights=weights,
        fairness=fairness,
        optional=optional,
    )
    is_predicted = _is_predicted(contention, goal)
    share = real_number(headroom)
    if is_predicted and share is not None:
        headroom = {"memory": share}
    question = ask(
        profiles,
        goal,
        gpus=gpus,
        prices=prices,
        headroom=headroom,
        load_point=load_point,
        wishes=wishes,
        carry_memory_over=carry_memory_over,
        sharing=sharing,
        allow_unstable=allow_unstable,
    )
    question = replace(
        question,
        min_retention=resolve_min_retention(min_retention, profiles.model_names),
        maximizes_predicted=is_predicted,
    )
    placement = answer(question, time_limit_s=time_limit_s, seed=seed)
    timed = placement.model_copy(update={"seconds": time.perf_counter() - started})
    return timed.explained_by(lambda one: explain_question(one, question))


def _is_predicted(contention: str, objective: Objective) -> bool:
    if not isinstance(contention, str) or contention not in ("plain", "predicted"):
        raise UnknownNameError(
            f"unknown contention {quoted(contention)}; there are plain, predicted"
        )
    is_predicted = contention == "predicted"
    if is_predicted and objective is not Objective.MAX_THROUGHPUT:
        raise InvalidInputError(
            "contention='predicted' is for max_throughput; with other objectives, "
            "min_retention= says what models shall keep"
        )
    return is_predicted


def require_profiles(profiles: ProfileSet) -> None:
    """Check that what is planned for are profiles, not the name of their file.

    Raises:
        InvalidInputError: If they are not.
    """
    require_kind(
        "profiles", profiles, ProfileSet, "what gpupack.read_profiles(path) returns"
    )


def require_valid_search(time_limit_s: float, seed: int) -> tuple[float, int]:
    """Return the two arguments that every search has, checked.

    Raises:
        InvalidInputError: If the limit is not finite and ≥ 0, or the seed no count.
    """
    limit_s, checked_seed = real_number(time_limit_s), whole_number(seed)
    if limit_s is None or not math.isfinite(limit_s) or limit_s < 0:
        raise InvalidInputError(
            f"time_limit_s is {quoted(time_limit_s)}; it must be finite and ≥ 0 seconds"
        )
    if checked_seed is None or not 0 <= checked_seed < 2**31:
        raise InvalidInputError(
            f"seed is {quoted(seed)}; it must be a whole number from 0 to {2**31 - 1}"
        )
    return limit_s, checked_seed
