"""What a placement costs: per month and year, per model, per million inferences."""

from __future__ import annotations

import math

from pydantic import Field

from gpupack.records.gpu import Resource
from gpupack.records.placement import Assignment, GpuPlacement, PlacementRecord
from gpupack.records.record import Record
from gpupack.units import Ratio

HOURS_PER_YEAR = 8760
HOURS_PER_MONTH = HOURS_PER_YEAR / 12
"""730: what clouds bill a month with."""
_SECONDS_PER_HOUR = 3600


class ModelCost(Record):
    """What one model costs, of the GPUs that it is on."""

    price_per_hour: float = Field(ge=0)
    """Its part of their price: as much of each GPU as its largest share of memory or
    utilization is of those of all models there. What is idle is shared out likewise."""
    price_per_million_inferences: float | None = Field(default=None, ge=0)
    """At the traffic it takes, or else as predicted, or else as measured alone; None
    where nothing is known, or it takes none."""


class Cost(Record):
    """What a placement costs, in the caller's currency."""

    price_per_hour: float = Field(ge=0)
    price_per_million_inferences: float | None = Field(default=None, ge=0)
    """Of all models together; None where the traffic of one is not known."""
    by_model: dict[str, ModelCost]
    """By name; their prices sum to that of the whole."""
    idle_share: Ratio | None = None
    """Of the price, for time in which no kernel runs; None where a GPU's utilization
    is not known."""

    @property
    def price_per_month(self) -> float:
        """Of 730 hours."""
        return self.price_per_hour * HOURS_PER_MONTH

    @property
    def price_per_year(self) -> float:
        """Of 8,760 hours."""
        return self.price_per_hour * HOURS_PER_YEAR


def price_per_hour(placement: PlacementRecord) -> float | None:
    """Return what the used GPUs cost, None if one has no price."""
    prices = _prices(placement)
    return None if prices is None else math.fsum(prices)


def cost_of(placement: PlacementRecord) -> Cost | None:
    """Return what a placement costs, None if a used GPU has no price."""
    prices = _prices(placement)
    if prices is None:
        return None
    by_model: dict[str, float] = {}
    rates: dict[str, float | None] = {}
    for gpu, price in zip(placement.gpus.runs, prices, strict=True):
        weights = [_largest_share(one, gpu) for one in gpu.assignments]
        whole = math.fsum(weights)
        for one, weight in zip(gpu.assignments, weights, strict=True):
            part = weight / whole if whole else 1 / len(weights)
            name = one.model_name
            by_model[name] = by_model.get(name, 0.0) + price * part
            rate, before = _rate(one), rates.get(name, 0.0)
            rates[name] = (
                None if rate is None or before is None else before + gpu.num_gpus * rate
            )
    known = [rate for rate in rates.values() if rate is not None]
    total = math.fsum(prices)
    return Cost(
        price_per_hour=total,
        price_per_million_inferences=_per_million(total, math.fsum(known))
        if len(known) == len(rates)
        else None,
        by_model={
            name: ModelCost(
                price_per_hour=by_model[name],
                price_per_million_inferences=_per_million(
                    by_model[name], rates[name] or 0.0
                ),
            )
            for name in sorted(by_model)
        },
        idle_share=_idle_share(placement, prices),
    )


def _prices(placement: PlacementRecord) -> list[float] | None:
    """Return the price of each run of equal GPUs, None if one is not known.

    Also if there are none.
    """
    price_by_type = {
        entry.gpu_type.name: entry.price_per_hour for entry in placement.fleet.entries
    }
    runs = placement.gpus.runs
    known = [
        price * gpu.num_gpus
        for gpu in runs
        if (price := price_by_type.get(gpu.gpu_type.name)) is not None
    ]
    return known if runs and len(known) == len(runs) else None


def _largest_share(one: Assignment, gpu: GpuPlacement) -> float:
    """Return the largest share of a GPU's resources that a model instance takes."""
    memory = gpu.resource(Resource.MEMORY)
    shares = [0.0 if memory is None else one.memory_bytes / memory.capacity]
    for percent in (one.gpu_utilization_percent, one.memory_utilization_percent):
        shares.append((percent or 0.0) / 100)
    return max(shares)


def _rate(one: Assignment) -> float | None:
    for rate in (one.served_infer_per_sec, one.predicted_infer_per_sec):
        if rate is not None:
            return rate
    return one.throughput_infer_per_sec


def _per_million(price: float, infer_per_sec: float) -> float | None:
    if infer_per_sec <= 0:
        return None
    return price / (infer_per_sec * _SECONDS_PER_HOUR) * 1e6


def _idle_share(placement: PlacementRecord, prices: list[float]) -> float | None:
    total = math.fsum(prices)
    busy = [gpu.gpu_utilization_percent for gpu in placement.gpus.runs]
    known = [percent for percent in busy if percent is not None]
    if len(known) < len(busy) or not total:
        return None
    idle = math.fsum(
        price * max(0.0, 1 - percent / 100)
        for price, percent in zip(prices, known, strict=True)
    )
    return min(1.0, idle / total)
