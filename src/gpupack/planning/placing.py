"""Decide which model goes where: ``place()``."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Unpack

from gpupack.planning.modeling import CapacityQuestion, ask
from gpupack.planning.request import (
    ProfilesLike,
    profiles_of,
    request_of,
    takes_wishes,
    told_with,
    wishes_beside,
)
from gpupack.planning.solving import (
    Clash,
    Found,
    answer,
    build_placement,
    check_placement,
    with_bound,
)
from gpupack.records.request import Request, RequestArguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.placement import Placement
    from gpupack.records.request import Objective


LEAST_BETWEEN_S = 0.1
"""Between two placements that are told of while the search goes on."""
_logger = logging.getLogger(__name__)


@takes_wishes
def place(
    profiles: ProfilesLike,
    objective: Objective | str | Request | None = None,
    *,
    request: Request | None = None,
    progress: Callable[[Placement], None] | None = None,
    **asked: Unpack[RequestArguments],
) -> Placement:
    """Return the best placement of every model, with what proves it.

    Args:
        profiles: What was measured, or the path of a file that holds it, or the name
            of a built-in example. A model goes only on GPU types it was profiled on.
        objective: ``"min_gpus"``: the fewest GPUs (the cheapest of equally many);
            memory binds, and the utilizations too if there is a demand.
            ``"min_cost"``: the lowest price per hour; the same binds.
            ``"max_throughput"``: no model loses throughput, on the fewest GPUs; on a
            limited fleet with choices, the most weighted throughput. Memory and both
            utilizations bind. A ``Request`` may stand here, too.
        request: Everything below as one object; what is given beside it wins, with a
            warning where the request says otherwise.
        progress: Called while the search goes on: with the first placement, with
            better ones, and with the best at a tighter bound. What it raises ends the
            search.
        gpus: The supply: a catalogue name (``"16GB"``, ``"T4"``) or ``GpuType``, or
            types with counts, None for as many as needed
            (``{"L4": 8, "A100-80GB": None}``). Left out, as many as needed of the
            type that the profiles were measured on.
        prices: Per GPU and hour by GPU type, in your currency; gpupack ships none.
        reserved_prices: The same where GPUs are reserved; they count with
            ``billing="reserved"``.
        max_gpus: GPUs of all types together, at most.
        max_price_per_hour: What all of them together may cost.
        headroom: The share that may be used of whatever binds (``0.8`` is 80 %), or
            a mapping that names exactly what binds: ``{"memory": 0.9,
            "gpu_utilization": 1.1}``. Memory never exceeds 1.
        load_point: Pins the load point (``"2x4"``: batch size × concurrency) of
            every model, or of some by name. Otherwise every record is an option.
        demand: Infer/sec to be served by model name, by as many replicas as needed.
            A replica takes its memory in full, its utilizations in proportion to the
            traffic it serves. 0 keeps a model loaded, with no traffic to meet; a model
            without a demand may be busy at any time.
        latency_limit_ms: Load points that exceed it, measured alone, are no options;
            nor are those without the percentile, of which a warning tells.
        latency_percentile: Of the limit: 50, 90, 95 or 99.
        replicas: Instances of every model, or by name: exactly so many of a model
            without a demand (default 1), at least so many of one with.
        max_replicas: Instances at most, likewise, of models with a demand.
        min_traffic: Infer/sec that each replica of a model with a demand serves at
            least, where it has several; or by name. Plans without that are asked for
            first, whose bound holds.
        one_load_point: Whether all replicas of a model run at one load point, or by
            name; likewise.
        weights: Of one infer/sec of a model in ``max_throughput``; default 1.
        fairness: ``"sum"``, or ``"max_min"``: make the smallest served share of
            demand as large as possible first.
        optional: Models that may be left out; all others are served at least once.
        without: Models that are not planned for, as if they had no profile.
        carry_memory_over: Let models go on a GPU type without records, by the memory
            measured on another, where nothing but memory binds.
        estimate_unmeasured: Plan for a GPU type of which nothing was measured by
            estimates: scaled from the measured type that is closest in speed, by the
            memory bandwidth and FLOPS that the maker publishes. Every placement says
            so; where something is promised (``demand_met="predicted"``,
            ``min_retention``, latency limits) they are refused.
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
        demand_met: ``"plain"``: a replica serves what it was measured to alone; of
            demands that are then predicted to be missed, a warning tells.
            ``"predicted"``: every replica is given only what it is predicted to reach
            beside its neighbors, as certainly as ``min_retention`` is kept. Of such
            plans those are tried in which utilizations sum to less than may be used,
            and in which replicas serve a share of their throughput; the bound is that
            of plans without this condition.
        latency: ``"alone"``: limits are about latencies as measured, of a model by
            itself. ``"predicted"``: about the percentile beside neighbors, of requests
            that arrive at the planned rate; every demand is then met as predicted, too.
        arrivals: How these requests arrive: ``"poisson"``, ``"constant"``, or
            ``"gamma:0.5"`` (in bursts; 1 is Poisson).
        growth: What every demand is multiplied by.
        billing: ``"on_demand"`` or ``"reserved"``: which price of a GPU counts.
        currency: Of all prices, as it is to be told.
        time_limit_s: When it runs out, the best placement so far is returned,
            with ``status`` FEASIBLE. Every search starts from a first placement
            that depends on no clock, so no limit gives a worse one than that; 0 gives
            it, or what a moment's search finds. Two limits that both run out can still
            differ by luck. To read the question, check the placement and
            predict what its models keep takes half a second more, or with thousands of
            models about a millisecond for each; to find out what clashes where there
            is no placement, up to 6 s.
        seed: For every random choice.
        workers: Threads of the search; None takes what the machine offers. With 1 the
            same input and seed give the same placement.
        allow_unstable: Use measurements that never settled.

    Returns:
        The placement, which holds the request. Equally good ones are told apart by
        more throughput, lower highest utilization, then by model name.

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
    beside = wishes_beside(profiles)
    profiles = profiles_of(profiles)
    wanted, warnings = request_of(profiles, objective, request, asked, beside=beside)
    with told_with(warnings):
        question = ask(profiles, wanted, warnings=warnings)
        _logger.info(
            "placing %d models of %d records, %s, within %g s",
            len(question.model_names),
            len(profiles),
            wanted.objective.value,
            wanted.time_limit_s,
        )
        found = answer(
            question,
            time_limit_s=wanted.time_limit_s,
            seed=wanted.seed,
            progress=None
            if progress is None
            else _Telling(question, wanted, started, progress).tell,
        )
        if isinstance(found, Clash):
            raise found.error()
    placement = build_placement(found, question, wanted)
    check_placement(placement, question)
    return placement.model_copy(update={"seconds": time.perf_counter() - started})


class _Telling:
    """Tells what a search has found so far, as checked placements.

    Searches find better packings by the dozen within milliseconds: those that follow
    one another closely are not built, since the last of them will be told.
    """

    def __init__(
        self,
        question: CapacityQuestion,
        request: Request,
        started: float,
        progress: Callable[[Placement], None],
    ) -> None:
        self._question = question
        self._request = request
        self._started = started
        self._progress = progress
        self._told: tuple[Found, Placement] | None = None
        self._next_at = 0.0

    def tell(self, found: Found) -> None:
        now = time.perf_counter()
        if now < self._next_at:
            return
        seconds = now - self._started
        if self._told is not None and self._told[0].gpus == found.gpus:
            placement = with_bound(self._told[1], found, seconds=seconds)
        else:
            placement = build_placement(
                found, self._question, self._request, seconds=seconds
            )
            check_placement(placement, self._question)
        self._told = found, placement
        self._progress(placement)
        # Building takes longer the more there is to build: at most a tenth of the time.
        spent_s = time.perf_counter() - now
        self._next_at = now + max(LEAST_BETWEEN_S, 10 * spent_s)
