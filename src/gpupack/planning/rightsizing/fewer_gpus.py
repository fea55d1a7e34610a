"""``rightsize()``: how many GPUs would do for what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.arguments import by_name, require_kind
from gpupack.errors import InfeasibleError, InvalidInputError, MissingReadingError
from gpupack.observed_cluster import ObservedCluster
from gpupack.packing import passing_interrupts_on
from gpupack.planning.placing import place
from gpupack.planning.rightsizing.giving_back import settle
from gpupack.planning.rightsizing.movable import Movable, same_type, sort_out
from gpupack.planning.rightsizing.unknowns import open_questions
from gpupack.profile_set import ProfileSet
from gpupack.quoting import listed, quoted
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType, Headroom, find_gpu_type, is_same_card
from gpupack.records.placement import PlacementStatus
from gpupack.records.profile import RecordOrigin, ServerBaseline
from gpupack.records.request import GpuSupply, Request
from gpupack.records.running.observed_cluster import DEMAND_PERCENTILES
from gpupack.records.running.rightsizing import (
    RightsizedGpu,
    RightsizingRecord,
    TypeNeed,
)
from gpupack.report.page.html import render_rightsizing
from gpupack.report.page.rightsizing import format_rightsizing, rightsizing_markdown
from gpupack.units import in_digits, mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpupack.placement import Placement
    from gpupack.records.request import HeadroomLike
    from gpupack.records.running.observed_cluster import ObservedGpu

_NOT_SEEN = "not to be seen in the metrics of a running cluster"


class Rightsizing(RightsizingRecord):
    """How many GPUs would do, which are spare, and what is not known."""

    def __str__(self) -> str:
        """Return it as readable text: counts first, then GPUs, then questions."""
        return format_rightsizing(self)

    def to_markdown(self) -> str:
        """Return one page of Markdown; names are escaped."""
        return rightsizing_markdown(self)

    def to_html(self) -> str:
        """Return one page of HTML that needs no network."""
        return render_rightsizing(self)

    def to_json(self) -> str:
        """Return everything as indented JSON."""
        return self.model_dump_json(indent=2, exclude_none=True)


@passing_interrupts_on()
def rightsize(
    cluster: ObservedCluster,
    profiles: ProfileSet | None = None,
    *,
    headroom: HeadroomLike = 0.8,
    percentile: int | None = None,
    prices: Mapping[str, float] | None = None,
    time_limit_s: float = 10.0,
    seed: int = 0,
) -> Rightsizing:
    """Return how many GPUs would do for what runs, and which could be given back.

    Models alone on their GPU are planned by what they were seen to do, or by profiles
    where there are some; models that share a GPU by profiles, or else together, as
    they are. A GPU of which too little is known is kept, with the reason. So the answer
    is a number of GPUs that would do; profiles may show that fewer do.

    Args:
        cluster: What ``read_prometheus()`` returned.
        profiles: Measured, of some or all of the models.
        headroom: The share of memory and of busy time that may be used at that demand,
            or a share of each resource by name.
        percentile: Of the demand over time to plan for: 50, 90, 95 or 99; None for the
            peak.
        prices: Per GPU and hour by GPU type, in your currency.
        time_limit_s: For the planning.
        seed: For its random choices.

    Raises:
        InvalidInputError: If an argument cannot be used.
        MissingReadingError: If the cluster has no GPUs, or no rates.
        NotFoundInTimeError: If no plan was found within the time limit.
    """
    require_kind("cluster", cluster, ObservedCluster, "what read_prometheus() returns")
    known = ProfileSet() if profiles is None else profiles
    require_kind("profiles", known, ProfileSet, "what read_profiles() returns")
    rates = _rates(cluster, percentile)
    shares = _shares(headroom)
    price_of = _prices(cluster, prices)
    movable = sort_out(cluster, known, shares, rates)
    placement, warnings = _planned(
        movable, known, shares, price_of, time_limit_s=time_limit_s, seed=seed
    )
    settled = settle(placement.gpus, movable) if placement else {}
    return Rightsizing(
        source=cluster.source,
        start=cluster.window.start,
        end=cluster.window.end,
        percentile=percentile,
        headroom=shares,
        demand_infer_per_sec=dict(sorted(movable.demand.items())),
        types=_needs(cluster, movable, placement, price_of),
        gpus=tuple(_gpu(gpu, movable, settled) for gpu in cluster.gpus),
        placement=placement,
        open_questions=open_questions(cluster, movable),
        warnings=(*cluster.warnings, *warnings),
    )


def _rates(cluster: ObservedCluster, percentile: int | None) -> dict[str, float]:
    if not cluster.gpus:
        raise MissingReadingError(
            f"{cluster.source} shows no GPU: let Prometheus scrape the DCGM exporter, "
            "or read its /metrics, too"
        )
    if percentile is not None and percentile not in DEMAND_PERCENTILES:
        raise InvalidInputError(
            f"percentile is {quoted(percentile)}; demands have "
            f"{', '.join(map(str, DEMAND_PERCENTILES))}, and their peak"
        )
    rates = (
        cluster.peak_demand
        if percentile is None
        else {
            one.model_name: one.percentile_infer_per_sec[percentile]
            for one in cluster.demands
            if percentile in one.percentile_infer_per_sec
        }
    )
    if not rates:
        raise MissingReadingError(
            f"{cluster.source} tells no rate of any model, and so not what has to be "
            "served: read Prometheus over a window, or /metrics at two times"
        )
    return rates


def _shares(headroom: HeadroomLike) -> Headroom:
    """Return what may be used: of memory and busy time, unless it is said by name."""
    given = Request.model_validate({"headroom": headroom}).headroom
    if isinstance(given, Headroom):
        return given
    return Headroom(memory=given, gpu_utilization=given)


def _prices(
    cluster: ObservedCluster, prices: Mapping[str, float] | None
) -> dict[str, float]:
    """Return prices by the names that the cluster has for its GPU types."""
    given = by_name("prices", prices or {}, '{"H200": 3.5}')
    types = dict.fromkeys(gpu.gpu_type for gpu in cluster.gpus)
    found: dict[str, float] = {}
    for name, price in given.items():
        checked = GpuSupply.model_validate({"price": price}).price
        same = [one.name for one in types if one.name == name or _is_card(name, one)]
        if not same:
            raise InvalidInputError(
                f"prices names {quoted(name)}, of which the cluster has none; it has "
                f"{listed(tuple(one.name for one in types))}"
            )
        found |= dict.fromkeys(same, checked or 0.0)
    return found


def _is_card(name: str, gpu_type: GpuType) -> bool:
    try:
        return is_same_card(find_gpu_type(name), gpu_type)
    except InvalidInputError:
        return False


def _planned(
    movable: Movable,
    profiles: ProfileSet,
    headroom: Headroom,
    price_of: Mapping[str, float],
    *,
    time_limit_s: float,
    seed: int,
) -> tuple[Placement | None, tuple[str, ...]]:
    """Return the plan, on today's GPUs if they do, and what to be warned of."""
    if not movable.records:
        return None, ()
    counts: dict[str, int] = {}
    for gpu in movable.gpus:
        counts[gpu.gpu_type.name] = counts.get(gpu.gpu_type.name, 0) + 1
    types = {gpu.gpu_type.name: gpu.gpu_type for gpu in movable.gpus}
    has_prices = set(types) <= set(price_of)

    def plan(*, is_limited: bool) -> Placement:
        return place(
            _with_servers(movable, profiles, types),
            "min_cost" if has_prices and len(types) > 1 else "min_gpus",
            gpus={
                name: GpuSupply(
                    count=counts[name] if is_limited else None,
                    price=price_of.get(name),
                    memory_mib=mib_from_bytes(gpu_type.known_memory_bytes()),
                )
                for name, gpu_type in types.items()
            },
            headroom=headroom,
            demand=movable.demand,
            replicas=movable.replicas or None,
            time_limit_s=time_limit_s,
            seed=seed,
        )

    warnings: tuple[str, ...] = ()
    try:
        placement = plan(is_limited=True)
    except InfeasibleError:
        placement = plan(is_limited=False)
        warnings = (
            "today's GPUs do not hold this demand with this headroom: more are needed, "
            "or less headroom",
        )
    if placement.status is PlacementStatus.FEASIBLE:
        warnings += (
            f"not proved: fewer GPUs may do; at least {in_digits(placement.bound, 6)} "
            f"{placement.objective_unit.words} are needed",
        )
    return placement, warnings


def _with_servers(
    movable: Movable, profiles: ProfileSet, types: Mapping[str, GpuType]
) -> ProfileSet:
    """Return records and baselines to plan with.

    What was seen running includes its own server, which the baseline of a GPU with
    profiles therefore comes on top of.
    """
    baselines = []
    for name, gpu_type in types.items():
        own = profiles.baseline(same_type(gpu_type, profiles).name)
        known = own is not None and own.gpu_memory_used_bytes is not None
        baselines.append(
            own.model_copy(update={"gpu_type": gpu_type})
            if own is not None and known
            else ServerBaseline.with_reason(
                _NOT_SEEN,
                gpu_type=types[name],
                environment=Environment(source="Prometheus"),
                gpu_memory_used_bytes=0,
            )
        )
    server_bytes = {one.gpu_type.name: one.gpu_memory_used_bytes for one in baselines}
    records = [
        record.model_copy(
            update={
                "gpu_memory_used_bytes": (record.gpu_memory_used_bytes or 0)
                + (server_bytes[record.gpu_type.name] or 0)
            }
        )
        if record.origin is RecordOrigin.ESTIMATED
        else record
        for record in movable.records
        if record.gpu_type.name in types
    ]
    return ProfileSet(
        records=tuple(records),
        baselines=tuple(baselines),
        calibrations=profiles.calibrations,
    )


def _needs(
    cluster: ObservedCluster,
    movable: Movable,
    placement: Placement | None,
    price_of: Mapping[str, float],
) -> tuple[TypeNeed, ...]:
    needed = dict.fromkeys(cluster.num_gpus_by_type, 0)
    for gpu in cluster.gpus:
        needed[gpu.gpu_type.name] += gpu.gpu_index in movable.kept
    for name, number in placement.gpus_by_type.items() if placement else ():
        needed[name] += number
    return tuple(
        TypeNeed(
            gpu_type_name=name,
            num_today=number,
            num_needed=needed[name],
            price_per_hour=price_of.get(name),
        )
        for name, number in cluster.num_gpus_by_type.items()
    )


def _gpu(
    gpu: ObservedGpu, movable: Movable, settled: Mapping[int, tuple[str, ...]]
) -> RightsizedGpu:
    reason = movable.kept.get(gpu.gpu_index)
    return RightsizedGpu(
        name=gpu.name,
        gpu_uuid=gpu.gpu_uuid,
        gpu_type_name=gpu.gpu_type.name,
        models_today=gpu.models,
        models=gpu.models if reason else settled.get(gpu.gpu_index, ()),
        kept_because=reason,
    )
