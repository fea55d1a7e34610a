"""A placement in a few sentences: how many GPUs, how good, at what cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.cost import cost_of
from gpupack.quoting import printable_name
from gpupack.records.gpu import Resource
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus
from gpupack.report.bars import RESOURCE_NAMES, bar_of, format_amount
from gpupack.report.cautions import type_text
from gpupack.report.text import (
    cost_details,
    format_number,
    format_price,
    found_and_proved,
    one_more_gpu_text,
)
from gpupack.units import in_digits

if TYPE_CHECKING:
    from gpupack.records.frontier import FrontierPoint
    from gpupack.records.gpu import Headroom
    from gpupack.records.placement import PlacementRecord

OBJECTIVE_NAMES = {
    Objective.MIN_GPUS: "fewest GPUs",
    Objective.MAX_THROUGHPUT: "most throughput",
    Objective.MIN_COST: "lowest cost",
}


MOST_NAMED = 3
"""Models named per step of those that get less than all."""
SERVED_TOLERANCE = 1e-6
"""By how much of all that is wanted less still counts as all: what rounding takes."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of the summary, with what it means."""

    title: str
    value: str
    detail: str


def count_of(number: int, noun: str) -> str:
    """Return ``"1 GPU"``, ``"1,000 GPUs"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def title_of(placement: PlacementRecord) -> str:
    """Return the placement in half a sentence: ``"9 models on 4 GPUs"``."""
    runs = placement.gpus.runs
    num_models = len({name for gpu in runs for name in gpu.models})
    num_instances = sum(gpu.num_gpus * len(gpu.assignments) for gpu in runs)
    models = count_of(num_models, "model")
    if num_instances != num_models:
        models += f" ({num_instances:,} instances)"
    return f"{models} on {count_of(placement.num_gpus, 'GPU')}"


def facts_of(placement: PlacementRecord) -> tuple[Fact, ...]:
    """Return the summary's figures."""
    facts = [_gpus(placement), _proof(placement), _throughput(placement)]
    return (
        *facts,
        *_cost(placement),
        _headroom(placement),
        _tightest(placement),
        *_one_more_gpu(placement),
    )


def _one_more_gpu(placement: PlacementRecord) -> tuple[Fact, ...]:
    """Return what one more GPU would buy of latency; nothing without limits."""
    more, text = placement.one_more_gpu, one_more_gpu_text(placement)
    if more is None or text is None:
        return ()
    value = f"p{more.latency_percentile} {in_digits(more.with_it_us / 1000, 3)} ms"
    return (Fact("One more GPU", value, text),)


def _gpus(placement: PlacementRecord) -> Fact:
    detail = ", ".join(
        f"{count:,} × {printable_name(type_text(placement, name))}"
        for name, count in placement.gpus_by_type.items()
    )
    sharing = placement.sharing_mode
    if sharing is not None:
        detail += f"; shared by {sharing.value.replace('_', ' ')}"
    return Fact("GPUs", f"{placement.num_gpus:,}", detail or "nothing was placed")


def _proof(placement: PlacementRecord) -> Fact:
    what = OBJECTIVE_NAMES[placement.objective]
    effort = (
        f"{found_and_proved(placement)}; {placement.seconds:.2g} s, "
        f"seed {placement.seed}"
    )
    if placement.status is PlacementStatus.OPTIMAL:
        return Fact("Proof", "OPTIMAL", f"{what}: no placement does better; {effort}")
    return Fact(
        "Proof",
        f"gap {placement.gap:.1%}",
        f"{what}: {objective_text(placement, placement.objective_value)} found, "
        f"at best {objective_text(placement, placement.bound)} possible; {effort}",
    )


def objective_text(placement: PlacementRecord, value: float) -> str:
    """Return a value, or a bound, of a placement's objective with its unit."""
    unit = placement.objective_unit
    if unit is ObjectiveUnit.SERVED_SHARE:
        return f"{value:.1%} of every demand"
    if unit is ObjectiveUnit.PRICE_PER_HOUR:
        return f"{format_price(value, placement.currency)} per hour"
    if unit is ObjectiveUnit.INFER_PER_SEC:
        return f"{format_number(value)} infer/s"
    return f"{format_number(value)} GPU{'' if value == 1 else 's'}"


def predicted_infer_per_sec(placement: PlacementRecord) -> float | None:
    """Return the sum over instances as predicted, None if one was not."""
    total = 0.0
    for gpu in placement.gpus.runs:
        for one in gpu.assignments:
            if one.predicted_infer_per_sec is None:
                return None
            total += gpu.num_gpus * one.predicted_infer_per_sec
    return total


def _wanted_infer_per_sec(placement: PlacementRecord) -> float:
    """Return the traffic of all instances: what a demand gives, or all they can do."""
    return math.fsum(
        gpu.num_gpus
        * (
            (one.throughput_infer_per_sec or 0.0)
            if one.served_infer_per_sec is None
            else one.served_infer_per_sec
        )
        for gpu in placement.gpus.runs
        for one in gpu.assignments
    )


def _throughput(placement: PlacementRecord) -> Fact:
    alone = placement.throughput_infer_per_sec
    predicted = predicted_infer_per_sec(placement)
    if alone is None:
        return Fact("Throughput", "–", "not measured for every model")
    detail = "sum of the models alone; "
    if predicted is None:
        detail += "sharing was not predicted"
    else:
        wanted = _wanted_infer_per_sec(placement)
        share = f" ({predicted / wanted:.0%} of what they take)" if wanted else ""
        detail += f"{format_number(predicted)} predicted{share} when all run at once"
    served = placement.served_infer_per_sec
    if served:
        detail += (
            f"; {format_number(math.fsum(served.values()))} served of what is asked"
        )
    return Fact("Throughput", f"{format_number(alone)} infer/s", detail)


def _cost(placement: PlacementRecord) -> tuple[Fact, ...]:
    """Return what it costs per hour and per month; nothing without prices."""
    cost = cost_of(placement)
    if cost is None:
        return ()
    used = placement.gpus_by_type
    detail = ", ".join(
        f"{used[entry.gpu_type.name]:,} × {printable_name(entry.gpu_type.name)} at "
        f"{format_price(entry.price_per_hour)}"
        for entry in placement.fleet.entries
        if entry.gpu_type.name in used
    )
    return (
        Fact(
            "Cost per hour",
            format_price(cost.price_per_hour, placement.currency),
            detail,
        ),
        Fact(
            "Cost per month",
            format_price(cost.price_per_month, placement.currency),
            cost_details(cost),
        ),
    )


def headroom_text(placement: PlacementRecord) -> str:
    """Return the shares of a placement's resources that may be used, in words."""
    return headroom_shares(placement.headroom)


def headroom_shares(headroom: Headroom) -> str:
    """Return the shares that may be used: ``"memory 90 %, GPU utilization 80 %"``."""
    return ", ".join(
        f"{resource.words} {format_number(share * 100)} %"
        for resource, share in headroom
    )


def _headroom(placement: PlacementRecord) -> Fact:
    shares = dict(placement.headroom)
    distinct = {format_number(share * 100) for share in shares.values()}
    value = f"{distinct.pop()} %" if len(distinct) == 1 else "mixed"
    names = ", ".join(
        RESOURCE_NAMES[resource]
        + ("" if value != "mixed" else f" {format_number(share * 100)} %")
        for resource, share in shares.items()
    )
    if not shares:
        return Fact("Headroom", "none", "nothing binds")
    return Fact("Headroom", value, f"may be used at most; binding: {names}")


def mean_fill_ratio(placement: PlacementRecord, resource: Resource) -> float | None:
    """Return used ÷ capacity, averaged over GPUs; None if one is not known."""
    total = 0.0
    for gpu in placement.gpus.runs:
        use = gpu.resource(resource)
        if use is None:
            return None
        total += gpu.num_gpus * use.fill_ratio
    return total / len(placement.gpus) if placement.gpus else None


def _tightest(placement: PlacementRecord) -> Fact:
    """Name the binding resource and GPU with the least of it left."""
    bars = [
        bar
        for gpu in placement.gpus.runs
        for resource, _ in placement.headroom
        if (bar := bar_of(gpu, resource)) is not None and bar.limit is not None
    ]
    if not bars:
        return Fact("Tightest", "–", "no binding resource is known")
    bar = min(bars, key=lambda one: ((one.limit or 0) - one.used) / one.capacity)
    left = (bar.limit or 0) - bar.used
    mean = mean_fill_ratio(placement, Resource.MEMORY)
    average = "" if mean is None else f"; memory is {mean:.0%} full on average"
    return Fact(
        "Tightest",
        f"GPU {bar.gpu_index}",
        f"{format_amount(bar.resource, left)} of {bar.resource.words} left{average}",
    )


def served_text(served: float, wanted: float) -> str:
    """Return a share in percent; one that is hardly short of all is told from it."""
    if not wanted:
        return "–"
    text = f"{served / wanted:.1%}"
    if text == "100.0%" and served < wanted * (1 - SERVED_TOLERANCE):
        return ">99.9%"
    return text


def served_least(point: FrontierPoint) -> str:
    """Return the models that get less than all, the worst first; empty if none do."""
    short = [
        f"{printable_name(name)} {served_text(share, 1.0)}"
        for name, share in point.served_share.items()
        if share < 1 - SERVED_TOLERANCE
    ]
    more = len(short) - MOST_NAMED
    return ", ".join(short[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
