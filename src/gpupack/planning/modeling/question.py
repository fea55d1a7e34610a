"""What is asked of ``place()`` and ``frontier()``, resolved and checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from gpupack.errors import (
    MissingReadingError,
)
from gpupack.packing import Goal
from gpupack.planning.contention import (
    Contention,
    LatencyLimits,
    RetentionRule,
    resolve_contention,
)
from gpupack.planning.modeling.averages import with_averages, without_unmeasured
from gpupack.planning.modeling.load_levels import FULL_LOAD, LoadLevel
from gpupack.planning.modeling.supply import (
    Supply,
    doubts_of,
    require_throughput,
    supplies_of,
    unshared_of,
)
from gpupack.planning.modeling.translation import Translation, translate
from gpupack.planning.modeling.variants import one_variant_each
from gpupack.planning.request import (
    PRICE_UNITS,
    Wishes,
    allowed_records,
    left_out_of,
    require_measured,
    require_prices,
    require_profiles,
    require_sense,
    require_traffic_of_limits,
    resolve_fleet,
    resolve_headroom,
    told_where,
    wishes_of,
    with_estimates,
    with_host,
    with_named_type,
    within_budget,
    within_latency_limits,
)
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, Headroom, Resource
from gpupack.records.request import (
    Arrivals,
    ContentionRule,
    Fairness,
    LatencyRule,
    Objective,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.packing import Rule
    from gpupack.profile_set import ProfileSet
    from gpupack.records.environment import SharingMode
    from gpupack.records.gpu import Fleet
    from gpupack.records.profile import ProfileRecord
    from gpupack.records.request import Request


@dataclass(frozen=True)
class CapacityQuestion:
    """Everything that a placement with choices depends on, checked.

    Args:
        profiles: What was measured; of the type planned for where none was known.
        model_names: To place; without optional ones that no supply has records of.
        objective: What is best.
        supplies: GPU types with their records.
        fleet: As the caller gave it, with prices.
        headroom: What binds.
        wishes: What is asked of the models.
        sharing: How models share a GPU, for the prediction.
        warnings: So far.
        min_retention: What models keep at least beside their neighbours, by name.
        maximizes_predicted: Whether throughput counts as predicted, not as alone.
        records_in_any_time: By model name: those that break latency limits, too.
        allow_unstable: Whether measurements that never settled may be used.
        max_gpus: How many GPUs may be used in all; None for no limit.
        max_price_per_hour: What they may cost in all; None for no limit.
        num_workers: Threads of the search; None for what the machine offers.
        keeps_demand_as_predicted: Whether replicas serve what they are predicted to
            reach beside their neighbors; ``min_retention`` then says so of all models
            with a demand.
        load_levels: At which a replica of a model with a demand may run, by the most
            that it serves, ascending.
        fixed_replicas: By model name: exactly so many, each of which serves what
            ``least_traffic`` says at least.
        least_traffic: In infer/sec, of the models in ``fixed_replicas``.
        latency_limits: What models keep of latency beside their neighbors at their
            traffic; None where limits are about models alone.
        counts_shared_once: Whether a composing model that several models on a GPU call
            takes memory once, or with each of them.
    """

    profiles: ProfileSet
    model_names: tuple[str, ...]
    objective: Objective
    supplies: tuple[Supply, ...]
    fleet: Fleet
    headroom: Headroom
    wishes: Wishes
    sharing: SharingMode | str | None = None
    warnings: tuple[str, ...] = ()
    min_retention: Mapping[str, float] = field(default_factory=dict)
    maximizes_predicted: bool = False
    records_in_any_time: Mapping[str, tuple[ProfileRecord, ...]] = field(
        default_factory=dict
    )
    allow_unstable: bool = False
    max_gpus: int | None = None
    max_price_per_hour: float | None = None
    num_workers: int | None = None
    keeps_demand_as_predicted: bool = False
    load_levels: tuple[LoadLevel, ...] = (FULL_LOAD,)
    fixed_replicas: Mapping[str, int] = field(default_factory=dict)
    least_traffic: Mapping[str, float] = field(default_factory=dict)
    latency_limits: LatencyLimits | None = None
    counts_shared_once: bool = True

    @property
    def goal(self) -> Goal:
        """What the packing engine is asked for."""
        if self.objective is Objective.MIN_COST:
            return Goal.MIN_COST
        if self.objective is Objective.MIN_GPUS:
            return Goal.MIN_BINS
        if self.wishes.fairness is Fairness.MAX_MIN:
            return Goal.MAX_MIN_SHARE
        return Goal.MAX_SERVICE

    @property
    def has_choices(self) -> bool:
        """Whether more is to be decided than which model goes on which GPU."""
        wishes = self.wishes
        return (
            len(self.supplies) > 1
            or self.max_gpus is not None
            or self.max_price_per_hour is not None
            or not wishes.is_plain
            or wishes.fairness is not Fairness.SUM
        )

    @cached_property
    def shares(self) -> dict[Resource, float]:
        """What the headroom allows of each resource that binds."""
        return dict(self.headroom)

    @cached_property
    def contentions(self) -> tuple[Contention, ...]:
        """How models slow each other down on the GPUs of each supply."""
        return tuple(
            [
                resolve_contention(
                    self.profiles,
                    one.measured_on,
                    self.sharing,
                    host_cores=one.gpu_type.host_cpus_per_gpu,
                )
                for one in self.supplies
            ]
        )

    def in_units(self, budget: float) -> float:
        """Return a number of GPUs, or a price, in what the engine's goal counts."""
        return budget * PRICE_UNITS if self.goal is Goal.MIN_COST else budget

    def translated(self) -> Translation:
        """Return the question in the packing engine's integers."""
        translation = translate(
            self.supplies,
            self.headroom,
            self.wishes,
            self.model_names,
            needs_throughput=self.objective is Objective.MAX_THROUGHPUT,
            load_levels=self.load_levels,
            fixed_replicas=self.fixed_replicas,
            least_traffic=self.least_traffic,
            counts_shared_once=self.counts_shared_once,
        )
        problem = translation.problem
        if self.max_gpus is not None:
            bin_types = tuple(replace(one, cost=1) for one in problem.bin_types)
            problem = replace(problem, bin_types=bin_types, budget=self.max_gpus)
        elif self.max_price_per_hour is not None:
            costs, budget = within_budget(
                [supply.entry.price_per_hour or 0.0 for supply in translation.supplies],
                self.max_price_per_hour,
            )
            bin_types = tuple(
                replace(one, cost=cost)
                for one, cost in zip(problem.bin_types, costs, strict=True)
            )
            problem = replace(problem, bin_types=bin_types, budget=budget)
        has_rule = self.min_retention or self.latency_limits
        rule = self._retention_rule(translation) if has_rule else None
        rule = one_variant_each(translation.records, self.wishes, rule)
        if rule is not None:
            problem = replace(problem, rule=_both(problem.rule, rule))
        return replace(translation, problem=problem)

    def _retention_rule(self, translation: Translation) -> Rule:
        """Return which load points may share a GPU.

        Each with as much traffic as it could be given: all that its model is asked for.
        """
        loads = [
            min(level.judged_ratio, self.wishes.demand[record.model_name] / throughput)
            if record.model_name in self.wishes.demand
            and (throughput := record.throughput_infer_per_sec)
            else 1.0
            for record, level in zip(
                translation.records, translation.load_levels, strict=True
            )
        ]
        rules = [
            RetentionRule(
                translation.records,
                contention,
                self.min_retention,
                loads=loads,
                latency=self.latency_limits,
            )
            for contention in self.contentions
        ]
        return lambda bin_type, counts: rules[bin_type].is_allowed(counts)


def _both(first: Rule | None, second: Rule) -> Rule:
    """Return what both rules allow; the first is asked first."""
    if first is None:
        return second
    return lambda bin_type, counts: first(bin_type, counts) and second(bin_type, counts)


def ask(
    profiles: ProfileSet, request: Request, *, warnings: tuple[str, ...] = ()
) -> CapacityQuestion:
    """Return the question that a request poses about profiles.

    Args:
        profiles: What was measured.
        request: What is asked.
        warnings: About the request itself.

    Raises:
        InvalidInputError: If a wish cannot be used; subclasses say more.
        InfeasibleError: If no load point of a model keeps its latency limit.
    """
    every_name = profiles.model_names
    require_profiles(request, every_name)
    if left_out := left_out_of(request, every_name):
        kept = tuple(one for one in profiles.records if one.model_name not in left_out)
        profiles = profiles.model_copy(update={"records": kept})
        every_name = profiles.model_names
    objective = request.objective
    wishes = wishes_of(request, every_name)
    require_sense(request, wishes)
    shares = resolve_headroom(
        # A demand says that models run at the same time: what they use then binds.
        Objective.MAX_THROUGHPUT if wishes.demand else objective,
        _headroom(request),
    )
    fleet = resolve_fleet(request, profiles)
    if objective is Objective.MIN_COST or request.max_price_per_hour is not None:
        with told_where(request, ("gpus",), ("objective",), ("max_price_per_hour",)):
            require_prices(fleet, request.billing)
    if any(one.name == UNKNOWN_GPU_TYPE.name for one in profiles.gpu_types):
        profiles = with_named_type(profiles, fleet)
    if request.estimate_unmeasured:
        profiles = with_estimates(profiles, fleet)
    # What was asked in contradiction is told before what was not measured for it.
    require_traffic_of_limits(request, wishes)
    latency_limits = _latency_limits(request, wishes)
    # A model that cannot serve its traffic answers later and later.
    keeps_demand = bool(wishes.demand) and (
        request.demand_met is ContentionRule.PREDICTED or latency_limits is not None
    )
    require_measured(request, wishes, fleet, profiles, keeps_demand=keeps_demand)
    every = allowed_records(
        profiles,
        wishes.load_points,
        allow_unstable=request.allow_unstable,
        place_of=partial(request.place_of_wish, "load_point"),
    )
    stand_ins: tuple[str, ...] = ()
    if wishes.demand and objective is not Objective.MAX_THROUGHPUT:
        every, stand_ins = with_averages(every)
    is_one_share = isinstance(_headroom(request), float)
    if is_one_share and shares.memory_utilization is not None:
        shares, not_binding = without_unmeasured(shares, every)
        stand_ins += not_binding
    shares = with_host(shares, request.headroom, fleet)
    records: Mapping[str, tuple[ProfileRecord, ...]] = every
    doubts: tuple[str, ...] = ()
    if wishes.latency_limit_ms:
        limits = [
            ("models", name, "latency_limit_ms") for name in wishes.latency_limit_ms
        ]
        said = [path for path in limits if request.place_of(*path)]
        with told_where(
            request,
            ("latency_percentile",),
            *said,
            ("defaults", "latency_limit_ms"),
        ):
            records, doubts = within_latency_limits(
                every, wishes, None if request.carry_memory_over else fleet
            )
    # Which resources bind: those named, of the host, or of the objective.
    has_host = shares.host_cpu is not None or shares.host_memory is not None
    binding = ("headroom",), ("gpus" if has_host else "objective",)
    with (
        told_where(request, ("gpus",)),
        told_where(request, *binding, kind=MissingReadingError),
    ):
        supplies, of_supplies = supplies_of(
            fleet,
            profiles,
            records,
            shares,
            carry_memory_over=request.carry_memory_over,
            promises_traffic=objective is Objective.MAX_THROUGHPUT
            or bool(wishes.demand),
            optional=wishes.optional,
        )
    if objective is Objective.MAX_THROUGHPUT:
        require_throughput(supplies, wishes)
    names = tuple(
        name
        for name in every_name
        if any(name in supply.records for supply in supplies)
    )
    return CapacityQuestion(
        profiles=profiles,
        model_names=names,
        objective=objective,
        supplies=supplies,
        fleet=fleet,
        headroom=shares,
        wishes=wishes.of(names),
        sharing=request.sharing,
        warnings=profiles.notes
        + warnings
        + stand_ins
        + doubts
        + of_supplies
        + doubts_of(supplies)
        + (unshared_of(supplies) if shares.memory is not None else ()),
        min_retention=_kept_shares(wishes, keeps_demand=keeps_demand),
        maximizes_predicted=request.contention is ContentionRule.PREDICTED,
        records_in_any_time=every,
        allow_unstable=request.allow_unstable,
        max_gpus=request.max_gpus,
        max_price_per_hour=request.max_price_per_hour,
        num_workers=request.workers,
        keeps_demand_as_predicted=keeps_demand,
        latency_limits=latency_limits,
    )


def _latency_limits(request: Request, wishes: Wishes) -> LatencyLimits | None:
    """Return what is to be kept of latency at planned traffic, None if nothing is."""
    if request.latency is not LatencyRule.PREDICTED or not wishes.latency_limit_ms:
        return None
    return LatencyLimits(
        {name: limit / 1000 for name, limit in wishes.latency_limit_ms.items()},
        frozenset(name for name, demand in wishes.demand.items() if demand > 0),
        percentile=float(wishes.latency_percentile),
        gap_cv2=Arrivals.parse(request.arrivals).gap_cv2,
        demand=wishes.demand,
    )


def _kept_shares(wishes: Wishes, *, keeps_demand: bool) -> dict[str, float]:
    """Return what models keep at least: of a demand all, where the prediction counts.

    Its traffic is what a model with a demand keeps a share of.
    """
    kept = dict(wishes.min_retention)
    if keeps_demand:
        kept |= {name: 1.0 for name, demand in wishes.demand.items() if demand > 0}
    return kept


def _headroom(request: Request) -> float | Headroom:
    """Return the headroom asked for, of memory alone where prediction counts."""
    share = request.headroom
    if request.contention is ContentionRule.PREDICTED and isinstance(share, float):
        return Headroom(memory=share)
    return share
