"""A placement as the page shows it: what it takes, gives, and leaves."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from gpupack.cost import Cost, cost_of
from gpupack.quoting import printable, printable_name
from gpupack.records.placement import (
    GpuPlacement,
    ObjectiveUnit,
    PlacedGpus,
    PlacementRecord,
    PlacementStatus,
)
from gpupack.records.record import Record
from gpupack.records.request import Request
from gpupack.report.bars import (
    RESOURCE_NAMES,
    Bar,
    bar_of,
    format_amount,
    full_scale,
    shown_resources,
)
from gpupack.report.cautions import cautions_of, other_warnings, type_text
from gpupack.report.page.demand import DemandVerdict, demand_verdict
from gpupack.report.page.model_table import ModelRow, model_rows
from gpupack.report.summary import objective_text, served_text, title_of
from gpupack.report.text import (
    format_price,
    format_rate,
    found_and_proved,
    gpu_numbers,
    load_text,
)
from gpupack.units import sum_if_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.records.gpu import Resource

MOST_GROUPS = 120
"""Groups of equal GPUs that are drawn; of more the rest is counted."""
MOST_BINDING = 3


class SegmentView(Record):
    """What one model, or the server, takes of a bar."""

    model: int | None
    """By the order of the names; None: the server without a model."""
    amount: str
    start: float
    """Of the bar's length, 0–1."""
    length: float


class BarView(Record):
    """One resource of a GPU."""

    name: str
    text: str
    description: str
    limit: float | None
    """Where the headroom ends, as a share of the length; None: it does not bind."""
    capacity: float | None
    """Where the GPU ends; None where the bar ends there."""
    is_over: bool
    segments: tuple[SegmentView, ...]


class HeldModel(Record):
    """A model on a GPU."""

    model: int
    text: str


class GroupView(Record):
    """GPUs of one type that hold the same."""

    count: int
    type: str
    numbers: str
    bars: tuple[BarView, ...]
    models: tuple[HeldModel, ...]


class ModelView(Record):
    """What one model gets."""

    model: int
    replicas: int
    load_points: str
    demand: str
    served: str
    share: float | None
    """Of its demand that it gets, as served and as predicted; None without one."""
    share_text: str
    kept: str
    """Of its throughput, beside its neighbors."""
    cost: str
    is_short: bool


class AnswerView(Record):
    """A placement as the page shows it."""

    is_final: bool
    is_proved: bool
    title: str
    line: str
    """The answer in one sentence: what is needed for what was asked."""
    value: str
    bound: str
    value_number: float
    bound_number: float
    gap: float
    num_gpus: int
    gpus: str
    cost: str
    cost_details: str
    demand: str
    demand_details: str
    """The same without whether it is met."""
    is_met: bool | None
    """None where nothing was asked for."""
    proof: str
    seconds: float
    binding: tuple[str, ...]
    groups: tuple[GroupView, ...]
    num_groups: int
    models: tuple[ModelView, ...]
    cautions: tuple[str, ...]
    warnings: tuple[str, ...]


def answer_view(
    placement: PlacementRecord, model_names: Sequence[str], *, is_final: bool
) -> AnswerView:
    """Return a placement as the page shows it.

    Args:
        placement: What was found.
        model_names: Every model of the profiles, in the order by which views name them.
        is_final: Whether the search is over.
    """
    index = {name: number for number, name in enumerate(model_names)}
    cost = cost_of(placement)
    verdict = demand_verdict(placement)
    groups = placement.groups
    return AnswerView(
        is_final=is_final,
        is_proved=placement.status is PlacementStatus.OPTIMAL,
        title=title_of(placement),
        line=_line(placement),
        value=objective_text(placement, placement.objective_value),
        bound=objective_text(placement, placement.bound),
        value_number=placement.objective_value,
        bound_number=placement.bound,
        gap=placement.gap,
        num_gpus=placement.num_gpus,
        gpus=_by_type(placement),
        cost=""
        if cost is None
        else f"{format_price(cost.price_per_hour, placement.currency)} per hour",
        cost_details="" if cost is None else _cost_details(cost, placement),
        demand="" if verdict is None else str(verdict),
        demand_details="" if verdict is None else _demand_details(verdict),
        is_met=None if verdict is None else verdict.is_met,
        proof=found_and_proved(placement),
        seconds=placement.seconds,
        binding=_binding(placement),
        groups=_groups(placement, groups[:MOST_GROUPS], index),
        num_groups=len(groups),
        models=_models(placement, index, cost),
        cautions=tuple(map(printable, cautions_of(placement))),
        warnings=tuple(map(printable, other_warnings(placement))),
    )


def _line(placement: PlacementRecord) -> str:
    """Return the answer in a sentence, how sure it is included."""
    is_proved = placement.status is PlacementStatus.OPTIMAL
    gpus = _by_type(placement) or "No GPU"
    told = objective_text(placement, placement.objective_value)
    if placement.objective_unit is ObjectiveUnit.GPUS:
        sure = "fewer cannot do" if is_proved else "fewer might do"
        return f"{gpus} for {title_of(placement).split(' on ')[0]}: {sure}."
    if placement.objective_unit is ObjectiveUnit.PRICE_PER_HOUR:
        sure = "nothing cheaper can do" if is_proved else "something cheaper might do"
        return f"{gpus} for {told}: {sure}."
    sure = "nothing serves more" if is_proved else "more might be served"
    return f"{gpus} serve {told}: {sure}."


def _by_type(placement: PlacementRecord) -> str:
    return ", ".join(
        f"{count:,} × {printable_name(type_text(placement, name))}"
        for name, count in placement.gpus_by_type.items()
    )


def _demand_details(verdict: DemandVerdict) -> str:
    _, _, details = str(verdict).partition(": ")
    met, _, rest = details.partition(", ")
    return rest if met in ("yes", "no") else details


def _cost_details(cost: Cost, placement: PlacementRecord) -> str:
    parts = [f"{format_price(cost.price_per_month, placement.currency)} per month"]
    million = cost.price_per_million_inferences
    if million is not None:
        parts.append(
            f"{format_price(million, placement.currency)} per million inferences"
        )
    if cost.idle_share is not None:
        parts.append(f"{cost.idle_share:.0%} of it idle")
    return ", ".join(parts)


def _binding(placement: PlacementRecord) -> tuple[str, ...]:
    """Return what is nearest to its limit: by resource, the fullest GPU."""
    fullest: dict[Resource, tuple[float, GpuPlacement]] = {}
    for gpu in placement.gpus.runs:
        for use in gpu.resources:
            if use.limit:
                ratio = use.used / use.limit
                if use.resource not in fullest or ratio > fullest[use.resource][0]:
                    fullest[use.resource] = ratio, gpu
    ranked = sorted(fullest.items(), key=lambda one: -one[1][0])
    told = [
        f"{RESOURCE_NAMES[resource]}: {ratio:.0%} of what may be used, on GPU "
        f"{gpu.gpu_index}"
        for resource, (ratio, gpu) in ranked[:MOST_BINDING]
    ]
    if placement.min_retention:
        told.append("what models shall keep beside their neighbors (min_retention)")
    return tuple(told)


def _groups(
    placement: PlacementRecord,
    groups: Sequence[PlacedGpus],
    index: Mapping[str, int],
) -> tuple[GroupView, ...]:
    resources = shown_resources([placement])
    scales = {one: full_scale([placement], one) for one in resources}
    return tuple(
        GroupView(
            count=len(group),
            type=printable_name(type_text(placement, group.runs[0].gpu_type.name)),
            numbers=gpu_numbers(group),
            bars=tuple(
                _bar(bar, scales[resource], index)
                for resource in resources
                if (bar := bar_of(group.runs[0], resource)) is not None
            ),
            models=tuple(
                HeldModel(model=index[one.model_name], text=load_text(one))
                for one in group.runs[0].assignments
            ),
        )
        for group in groups
    )


def _bar(bar: Bar, scale: float, index: Mapping[str, int]) -> BarView:
    whole = bar.capacity * scale
    segments = []
    start = 0.0
    for one in bar.segments:
        length = one.amount / whole
        segments.append(
            SegmentView(
                model=None if one.model_name is None else index[one.model_name],
                amount=format_amount(bar.resource, one.amount),
                start=round(min(1.0, start), 5),
                length=round(min(length, max(0.0, 1.0 - start)), 5),
            )
        )
        start += length
    return BarView(
        name=RESOURCE_NAMES[bar.resource],
        text=bar.text,
        description=bar.description,
        limit=None if bar.limit is None else min(1.0, bar.limit / whole),
        capacity=1 / scale if scale > 1 else None,
        is_over=bar.used > bar.capacity * (1 + 1e-9),
        segments=tuple(segments),
    )


def _models(
    placement: PlacementRecord, index: Mapping[str, int], cost: Cost | None
) -> tuple[ModelView, ...]:
    rows: dict[str, list[ModelRow]] = defaultdict(list)
    for row in model_rows(placement):
        rows[row.model_name].append(row)
    request = placement.request or Request()
    return tuple(
        _model(name, of_model, index[name], request, cost)
        for name, of_model in sorted(rows.items())
    )


def _model(
    name: str,
    rows: Sequence[ModelRow],
    number: int,
    request: Request,
    cost: Cost | None,
) -> ModelView:
    asked = request.of_model(name).demand
    demand = None if asked is None else asked * request.growth
    served = sum_if_known([one.served_infer_per_sec for one in rows])
    predicted = sum_if_known([one.predicted_infer_per_sec for one in rows])
    alone = sum_if_known([one.alone_infer_per_sec for one in rows])
    share = None
    if demand:
        reached = served or 0.0
        share = min(
            1.0, min(reached, reached if predicted is None else predicted) / demand
        )
    kept = [one.lowest_retention for one in rows if one.lowest_retention is not None]
    price = None if cost is None else cost.by_model.get(name)
    return ModelView(
        model=number,
        replicas=sum(one.num_instances for one in rows),
        load_points=", ".join(printable_name(str(one.load_point)) for one in rows),
        demand="" if demand is None else format_rate(demand),
        served=format_rate(alone if served is None else served),
        share=share,
        share_text="" if share is None or demand is None else served_text(share, 1.0),
        kept=f"{min(kept):.0%}" if kept else "",
        cost=""
        if price is None
        else format_price(price.price_per_hour, request.currency),
        is_short=share is not None and share < 1 - 1e-5,
    )
