# Long because every kind of change is tried here, in the order in which it is told.
"""Single changes, all else equal, that would improve a placement."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.catalogue import MEMORY_MIB_BY_NAME
from gpupack.errors import GpupackError, InfeasibleError, MissingReadingError
from gpupack.planning.contention import COMPARED, resolve_sharing
from gpupack.planning.explaining.asked_again import asked_again
from gpupack.planning.modeling import (
    Supply,
    best_records,
    require_readings,
    supplies_of,
)
from gpupack.planning.request import keeps_latency_limit
from gpupack.quoting import quoted
from gpupack.records.explanation import ChangeKind, SavingChange
from gpupack.records.gpu import (
    HOST_SHARES,
    DeviceKind,
    Fleet,
    FleetEntry,
    GpuType,
    Headroom,
    Resource,
    ResourceUnit,
    find_gpu_type,
)
from gpupack.records.placement import Objective, ObjectiveUnit
from gpupack.spelling import setting
from gpupack.units import BYTES_PER_GB, BYTES_PER_GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpupack.planning.explaining.what_if import WhatIf
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.profile import LoadPoint, ProfileRecord

MAX_UTILIZATION_PERCENT = 300
"""Above three times what a GPU has, more headroom is no advice."""
ABOVE_ONE = "models may lose throughput, since above 1 they wait for each other"
"""What a utilization headroom of more than all of a GPU's time costs."""
MAX_HOST_FACTOR = 4
"""More than four times what a GPU has of its host is no advice."""


def saving_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    """Yield the changes that lower the number of GPUs, or their price."""
    yield from _headroom_changes(what_if)
    yield from _host_changes(what_if)
    yield from _retention_changes(what_if)
    yield from _sharing_changes(what_if)
    yield from _load_point_changes(what_if)
    if what_if.unit is ObjectiveUnit.GPUS:
        yield from _gpu_type_changes(what_if)


def serving_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    """Yield the changes by which a limited fleet serves more.

    Where it serves all that is wanted, those by which fewer GPUs would do so.
    """
    if what_if.serves_all:
        yield from _fewer_gpus(what_if)
        return
    yield from _one_gpu_more(what_if)
    for resource, share in what_if.question.headroom:
        # Beyond 1 nothing more is served: a GPU has no more than all of its time.
        if share < 1 and not what_if.is_out_of_time:
            yield from _change(
                what_if,
                ChangeKind.HEADROOM,
                f"headroom of {resource.value} from {share:g} to 1",
                _with_shares(what_if, [resource], 100),
            )
    yield from _host_changes(what_if)
    yield from _retention_changes(what_if)
    yield from _sharing_changes(what_if)
    yield from _load_point_changes(what_if)


def _fewer_gpus(what_if: WhatIf) -> Iterator[SavingChange]:
    """Yield the changes by which fewer GPUs would serve as much."""
    counting = what_if.counting_gpus()
    if counting.better_value(counting.question) is not None:
        return  # Fewer would do without any change: none may be credited with it.
    for change in saving_changes(counting):
        yield change.model_copy(update={"unit": counting.unit})


def _headroom_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    """Try more of each resource, then more of all utilizations if none is enough."""
    is_enough = False
    utilizations = []
    for resource, _ in what_if.question.headroom:
        most = 100
        if resource.unit is ResourceUnit.PERCENT:
            utilizations.append(resource)
            most = MAX_UTILIZATION_PERCENT
        for change in _raised_headroom(what_if, [resource], most):
            is_enough = True
            yield change
    if not is_enough and len(utilizations) > 1:
        yield from _raised_headroom(what_if, utilizations, MAX_UTILIZATION_PERCENT)


def _raised_headroom(
    what_if: WhatIf, resources: Sequence[Resource], most: int
) -> Iterator[SavingChange]:
    """Try the lowest percentage of these resources, up to the most, that saves."""
    shares = [what_if.question.headroom.share(one) or 0.0 for one in resources]

    def raised(percent: int) -> CapacityQuestion:
        return _with_shares(what_if, resources, percent)

    percent = _least_change(what_if, round(min(shares) * 100), most, raised)
    if percent is not None:
        names = ", ".join(one.value for one in resources)
        now = "/".join(f"{share:g}" for share in dict.fromkeys(shares))
        yield from _change(
            what_if,
            ChangeKind.HEADROOM,
            f"headroom of {names} from {now} to {percent / 100:g}",
            raised(percent),
            trade_off=ABOVE_ONE if percent > 100 else "",
        )


def _host_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    """Try more of the host for every GPU, in whole cores and GiB."""
    for resource, _ in what_if.question.headroom:
        shares = [
            share
            for supply in what_if.question.supplies
            if resource.is_of_host
            and (share := supply.gpu_type.capacity_of(resource)) is not None
        ]
        if not shares:
            continue
        step, unit = 1, ""
        if resource.is_held:
            is_decimal = all(share % BYTES_PER_GB == 0 for share in shares)
            step, unit = (BYTES_PER_GB, "GB") if is_decimal else (BYTES_PER_GIB, "GiB")
        now = math.floor(min(shares) / step)
        most = math.ceil(MAX_HOST_FACTOR * max(shares) / step)

        def raised(
            number: int, resource: Resource = resource, step: int = step
        ) -> CapacityQuestion:
            return what_if.with_host(resource, number * step)

        number = _least_change(what_if, now, most, raised)
        if number is not None:
            told = "/".join(
                f"{share / step:g}{unit}" for share in dict.fromkeys(shares)
            )
            yield from _change(
                what_if,
                ChangeKind.HOST,
                f"{HOST_SHARES[resource]} from {told} to {number}{unit}",
                raised(number),
            )


def _retention_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    """Try what every model keeps at least, lowered to the same share for all."""
    floors = what_if.question.min_retention
    if not floors or what_if.question.keeps_demand_as_predicted:
        return
    highest = max(floors.values())

    def lowered(percent: int) -> CapacityQuestion:
        return replace(
            what_if.question,
            min_retention={
                name: min(share, percent / 100) for name, share in floors.items()
            },
        )

    percent = _least_change(what_if, round(highest * 100), 1, lowered)
    if percent is not None:
        yield from _change(
            what_if,
            ChangeKind.MIN_RETENTION,
            f"{setting('min_retention')} from {highest:g} to {percent / 100:g}",
            lowered(percent),
        )


def _sharing_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    """Try the other ways of sharing a GPU, where what models keep is asked for."""
    question = what_if.question
    if not (question.min_retention or question.maximizes_predicted) or any(
        supply.gpu_type.kind is DeviceKind.HOST for supply in question.supplies
    ):
        return
    for mode in COMPARED:
        if mode is resolve_sharing(question.sharing) or what_if.is_out_of_time:
            continue
        yield from _change(
            what_if,
            ChangeKind.SHARING,
            f"GPUs shared through {mode}",
            replace(question, sharing=mode),
        )


def _least_change(
    what_if: WhatIf, now: int, most: int, changed: Callable[[int], CapacityQuestion]
) -> int | None:
    """Return the percentage closest to today's that improves; None if none does."""
    near, far = now, most
    if near == far or what_if.is_out_of_time:
        return None
    if what_if.better_value(changed(far)) is None:
        return None
    while abs(far - near) > 1 and not what_if.is_out_of_time:
        middle = (near + far) // 2
        if what_if.better_value(changed(middle)) is not None:
            far = middle
        else:
            near = middle
    return far


def _with_shares(
    what_if: WhatIf, resources: Sequence[Resource], percent: int
) -> CapacityQuestion:
    """Return the question with at least this share of each of these resources."""
    shares = {
        one.value: max(share, percent / 100) if one in resources else share
        for one, share in what_if.question.headroom
    }
    return what_if.with_headroom(Headroom(**shares))


def _load_point_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    """Try every other load point of each model that ``place()`` would accept.

    As ``place()`` takes it: the load point is then the model's on every GPU type.
    """
    supplies = what_if.question.supplies
    for name in what_if.question.model_names:
        now = {one.key for supply in supplies for one in supply.records.get(name, ())}
        others = {
            record.load_point: record
            for record in what_if.asked.profiles.records
            if record.model_name == name
            and record.key not in now
            and any(_is_of(supply, record) for supply in supplies)
        }
        for load_point, record in sorted(
            others.items(), key=lambda pair: pair[0].sort_key
        ):
            if what_if.is_out_of_time:
                return
            changed = replace(
                what_if.question,
                supplies=tuple(
                    _at_load_point(what_if.question, supply, name, load_point)
                    for supply in supplies
                ),
            )
            is_left = any(name in supply.records for supply in changed.supplies)
            if is_left and what_if.serves_as_much(changed):
                where = f" on {record.gpu_type.name}" if len(supplies) == 1 else ""
                yield from _change(
                    what_if,
                    ChangeKind.LOAD_POINT,
                    f"{quoted(name)} at {load_point}{where}",
                    changed,
                    load_points={name: load_point},
                )


def _is_of(supply: Supply, record: ProfileRecord) -> bool:
    return record.gpu_type.name == supply.measured_on.name


def _at_load_point(
    question: CapacityQuestion, supply: Supply, name: str, load_point: LoadPoint
) -> Supply:
    """Return the supply with a model's records replaced by those at a load point."""
    there = tuple(
        one
        for one in question.profiles.records
        if one.model_name == name
        and one.load_point == load_point
        and _is_of(supply, one)
        and _is_allowed(question, one)
    )
    others = {key: of_model for key, of_model in supply.records.items() if key != name}
    return replace(supply, records=others | ({name: there} if there else {}))


def _is_allowed(question: CapacityQuestion, record: ProfileRecord) -> bool:
    """Return whether a record may be planned with, were its load point asked for."""
    if record.is_stable is False and not question.allow_unstable:
        return False
    if not keeps_latency_limit(record, question.wishes):
        return False
    try:
        require_readings(
            [record],
            Headroom(
                **{
                    resource.value: share
                    for resource, share in question.headroom
                    if any(
                        resource in supply.capacities
                        for supply in question.supplies
                        if _is_of(supply, record)
                    )
                }
            ),
        )
    except MissingReadingError:
        return False
    return True


def _one_gpu_more(what_if: WhatIf) -> Iterator[SavingChange]:
    for supply in what_if.question.supplies:
        count = supply.entry.num_gpus
        if count is None or what_if.is_out_of_time:
            continue
        more = replace(
            supply, entry=supply.entry.model_copy(update={"num_gpus": count + 1})
        )
        supplies = tuple(
            more if one is supply else one for one in what_if.question.supplies
        )
        yield from _change(
            what_if,
            ChangeKind.NUM_GPUS,
            f"{count + 1} {supply.gpu_type.name} GPUs instead of {count}",
            replace(
                what_if.question,
                supplies=supplies,
                fleet=Fleet(entries=tuple(one.entry for one in supplies)),
            ),
        )


def _gpu_type_changes(what_if: WhatIf) -> Iterator[SavingChange]:
    for gpu_type in _other_types(what_if):
        if what_if.is_out_of_time:
            return
        changed = _on_type(what_if, gpu_type)
        if changed is None or not what_if.serves_as_much(changed):
            continue
        (supply,) = changed.supplies
        yield from _change(
            what_if,
            ChangeKind.GPU_TYPE,
            f"{gpu_type.name} GPUs instead",
            changed,
            trade_off=_assumed_of(supply),
        )


def _assumed_of(supply: Supply) -> str:
    """Return what is taken for granted of GPUs of another type, in words."""
    if supply.is_carried_over:
        return (
            f"by the memory measured on {supply.measured_on.name} "
            f"({setting('carry_memory_over')})"
        )
    shares = [
        setting(name)
        for name in HOST_SHARES.values()
        if getattr(supply.gpu_type, name) is not None
    ]
    return f"with as much of the host: {', '.join(shares)}" if shares else ""


def _beside_the_same_host(question: CapacityQuestion, gpu_type: GpuType) -> GpuType:
    """Return a GPU type with what GPUs have of their hosts now, the least of them."""
    shares = {
        name: min(known)
        for resource, name in HOST_SHARES.items()
        if (
            known := [
                share
                for one in question.supplies
                if (share := one.gpu_type.capacity_of(resource)) is not None
            ]
        )
    }
    return gpu_type.model_copy(update=shares)


def _other_types(what_if: WhatIf) -> list[GpuType]:
    """Return the types measured on, and larger ones where memory carries over."""
    question = what_if.question
    used = {supply.gpu_type.name for supply in question.supplies}
    used |= {supply.measured_on.name for supply in question.supplies}
    measured = [one for one in what_if.asked.profiles.gpu_types if one.name not in used]
    if (
        # What GPUs of another type would have of their hosts is not known.
        [resource for resource, _ in question.headroom] != [Resource.MEMORY]
        or _promises_traffic(what_if)
        # What neighbours cost on another GPU is not known from this one.
        or question.min_retention
    ):
        return measured
    largest = max(supply.gpu_type.known_memory_bytes() for supply in question.supplies)
    larger = sorted(
        (mib, name) for name, mib in MEMORY_MIB_BY_NAME.items() if mib * 2**20 > largest
    )
    names = {one.name for one in measured}
    return measured + [
        find_gpu_type(name) for _, name in larger[:4] if name not in names
    ]


def _promises_traffic(what_if: WhatIf) -> bool:
    is_served = what_if.asked.objective is Objective.MAX_THROUGHPUT
    return is_served or bool(what_if.question.wishes.demand)


def _on_type(what_if: WhatIf, gpu_type: GpuType) -> CapacityQuestion | None:
    """Return the question for as many GPUs of one type as needed.

    As ``place()`` would pose it with ``gpus=`` of that type, and with
    ``carry_memory_over`` where it was not measured on. None if it would refuse.
    """
    question = what_if.question
    gpu_type = _beside_the_same_host(question, gpu_type)
    fleet = Fleet(entries=(FleetEntry(gpu_type=gpu_type),))
    records = {
        name: tuple(
            one for one in of_model if keeps_latency_limit(one, question.wishes)
        )
        for name, of_model in question.records_in_any_time.items()
        if name in question.model_names
    }
    try:
        (supply,), _ = supplies_of(
            fleet,
            question.profiles,
            records,
            question.headroom,
            carry_memory_over=True,
            promises_traffic=_promises_traffic(what_if),
            optional=question.wishes.optional,
        )
        if what_if.asked.objective is Objective.MAX_THROUGHPUT:
            best = best_records(
                supply, question.headroom, by_sizes=not question.min_retention
            )
            if isinstance(best, InfeasibleError):
                return None
            supply = replace(supply, records=best)
    except GpupackError:
        # A model or a reading was not measured there.
        return None
    if question.min_retention and supply.is_carried_over:
        return None
    return replace(question, supplies=(supply,), fleet=fleet)


def _change(
    what_if: WhatIf,
    kind: ChangeKind,
    words: str,
    question: CapacityQuestion,
    *,
    trade_off: str = "",
    load_points: dict[str, LoadPoint] | None = None,
) -> Iterator[SavingChange]:
    """Yield the change, unless no better plan is found with it."""
    value = what_if.better_value(question)
    if value is not None:
        request = what_if.placement.request
        saved = abs(what_if.placement.objective_value - value)
        yield SavingChange(
            kind=kind,
            change=words,
            value=value,
            saved=saved,
            is_more=what_if.unit.is_maximized,
            trade_off=trade_off,
            request=None
            if request is None
            else asked_again(
                request, what_if.question, question, load_points=load_points
            ),
        )
