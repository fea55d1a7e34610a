"""Every promise of a placement that must hold whatever is asked."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.questions import sharing
from tests.questions.composing import memory_together
from tests.questions.facts import Facts, Option, exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpupack.placement import Placement
    from gpupack.records.placement import Assignment, GpuPlacement


CLOSE = 3e-6
"""Relative: what is served is told to one part in a million, sums to another."""


def prices_of(facts: Facts) -> Iterator[tuple[str, float]]:
    for kind in facts.kinds:
        if kind.price is not None:
            yield kind.name, float(kind.price)


def broken_promises(placement: Placement, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield each promise of a placement that does not hold, as kind and text."""
    kinds = {one.name: index for index, one in enumerate(facts.kinds)}
    if placement.num_gpus != len(placement.gpus):
        yield "num_gpus", f"{placement.num_gpus}, not {len(placement.gpus)}"
    used = Counter(gpu.gpu_type.name for gpu in placement.gpus)
    for name, number in used.items():
        if name not in kinds:
            yield "GPU type", f"{name} was not offered"
            return
        count = facts.kinds[kinds[name]].count
        if count is not None and number > count:
            yield "count", f"{number} of {name}, of which there are {count}"
    copies: Counter[str] = Counter()
    served: dict[str, Fraction] = dict.fromkeys(facts.demand, Fraction(0))
    total = Fraction(0)
    for gpu in placement.gpus:
        options = []
        for one in gpu.assignments:
            option = _option_of(facts, kinds[gpu.gpu_type.name], one)
            if option is None:
                yield (
                    "not allowed",
                    f"{one.model_name} at {one.load_point} on {gpu.gpu_type.name}",
                )
                return
            options.append(option)
            copies[one.model_name] += 1
            if one.model_name in facts.demand:
                traffic = exact(one.served_infer_per_sec or 0.0)
                served[one.model_name] += traffic
                if traffic > option.rate * (1 + _part()):
                    yield (
                        "load",
                        f"{one.model_name} serves {float(traffic)} of {option.rate}",
                    )
            else:
                total += facts.weights[one.model_name] * option.rate
        yield from _broken_on_gpu(gpu, options, facts)
    yield from _broken_by_models(copies, served, facts)
    yield from _broken_value(placement, facts, served, total)


def _part() -> Fraction:
    return Fraction(2, 10**6)


def _option_of(facts: Facts, kind: int, one: Assignment) -> Option | None:
    for option in facts.options:
        if (option.model_name, option.type_index, option.record.load_point) == (
            one.model_name,
            kind,
            one.load_point,
        ):
            return option
    return None


def _broken_on_gpu(
    gpu: GpuPlacement, options: Sequence[Option], facts: Facts
) -> Iterator[tuple[str, str]]:
    kind = facts.kinds[options[0].type_index] if options else None
    where = f"GPU {gpu.gpu_index}: {', '.join(one.model_name for one in options)}"
    if kind is None:
        yield "empty GPU", where
        return
    if kind.memory_room is not None:
        memory = memory_together(options)
        if memory > kind.memory_room:
            yield "memory", f"{where} take {memory}, not {float(kind.memory_room)}"
        if gpu.memory_bytes != memory + kind.baseline_bytes:
            yield "memory told", f"{gpu.memory_bytes}, not {memory}"
    if kind.host_room is not None:
        held = sum(one.host_bytes for one in options)
        if held > kind.host_room:
            yield "host memory", f"{where} take {held}, not {float(kind.host_room)}"
    loads = [
        float(exact(one.served_infer_per_sec or 0.0) / option.rate)
        if option.model_name in facts.demand and option.rate
        else 1.0
        for one, option in zip(gpu.assignments, options, strict=True)
    ]
    for d, (name, limit) in enumerate(
        zip(facts.utilizations, facts.limits, strict=True)
    ):
        total = sum(
            option.loads[d] * Fraction(load)
            for option, load in zip(options, loads, strict=True)
        )
        if total > limit * (1 + _part()):
            yield name, f"{where} take {float(total)} %, not {float(limit)} %"
        use = next((one for one in gpu.resources if one.resource.value == name), None)
        if use is None and name == "host_cpu" and not total:
            continue  # of this type nobody said how many cores there are
        told = None if use is None else use.used
        if use is not None and name == "host_cpu":
            told = 100 * use.used / use.capacity
        if told is None or abs(told - float(total)) > 1e-5 * max(1, told):
            yield f"{name} told", f"{where}: {use}, not {float(total)} %"
    if facts.floors or facts.is_predicted:
        yield from _broken_retention(gpu, options, loads, facts, where)


def _broken_retention(
    gpu: GpuPlacement,
    options: Sequence[Option],
    loads: Sequence[float],
    facts: Facts,
    where: str,
) -> Iterator[tuple[str, str]]:
    try:
        shares = sharing.solo_shares(
            [one.record for one in options],
            loads,
            facts.sharing,
            facts.kinds[options[0].type_index].host_cpus,
        )
    except sharing.TooManyCustomersError:
        return
    for one, share, load in zip(gpu.assignments, shares, loads, strict=True):
        kept = sharing.kept(share, load)
        floor = facts.floors.get(one.model_name, 0.0)
        if kept < floor - 1e-5:
            yield "retention", f"{where}: {one.model_name} keeps {kept}, not {floor}"
        told = one.retention
        if told is None or abs(told - kept) > 1e-5:
            yield "retention told", f"{where}: {one.model_name} {told}, not {kept}"


def _broken_by_models(
    copies: Counter[str], served: dict[str, Fraction], facts: Facts
) -> Iterator[tuple[str, str]]:
    for name in facts.models:
        asked = facts.replicas[name]
        is_left_out = name in facts.optional and not copies[name]
        demand = facts.demand.get(name)
        if is_left_out:
            continue
        if demand is None:
            # Whether a part of the replicas of an optional model may be left out is
            # not said: both are taken.
            least = 1 if name in facts.optional else asked
            if not least <= copies[name] <= asked:
                yield "replicas", f"{copies[name]} of {name}, not {asked}"
            continue
        if copies[name] < asked:
            yield "replicas", f"{copies[name]} of {name}, not at least {asked}"
        slack = demand * _part()
        if served[name] > demand + slack:
            yield "demand", f"{name} serves {float(served[name])} of {float(demand)}"
        if (
            facts.is_in_full
            and name not in facts.optional
            and served[name] < demand - slack
        ):
            yield (
                "demand",
                f"{name} serves {float(served[name])}, less than {float(demand)}",
            )


def _broken_value(
    placement: Placement,
    facts: Facts,
    served: dict[str, Fraction],
    total: Fraction,
) -> Iterator[tuple[str, str]]:
    """Yield what the value is not, counted from the GPUs and the traffic told."""
    unit = placement.objective_unit.value
    if unit == "gpus":
        right = Fraction(len(placement.gpus))
    elif unit == "price_per_hour":
        prices = dict(prices_of(facts))
        right = sum(
            (exact(prices[gpu.gpu_type.name]) for gpu in placement.gpus), Fraction(0)
        )
    elif unit == "served_share":
        right = min(
            served[name] / demand
            for name, demand in facts.demand.items()
            if demand and name not in facts.optional
        )
    elif facts.is_predicted:
        right = sum(
            (
                exact(one.predicted_infer_per_sec or 0.0)
                * facts.weights[one.model_name]
                for gpu in placement.gpus
                for one in gpu.assignments
            ),
            Fraction(0),
        )
    else:
        right = total + sum(
            (facts.weights[name] * traffic for name, traffic in served.items()),
            Fraction(0),
        )
    slack = CLOSE * max(1e-9, float(right))
    if unit == "price_per_hour":
        # Prices are counted in millionths.
        slack = 1e-6 * len(placement.gpus) + 1e-9 * float(right)
    if abs(placement.objective_value - float(right)) > slack:
        yield "value", f"{placement.objective_value!r} where it is {float(right)!r}"
