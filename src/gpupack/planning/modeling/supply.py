"""GPU types of a fleet, each with the records that may be planned with on it.

And what is to be said of those records: what they lack, and what may be doubted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.planning.composing import unmeasured_sharing
from gpupack.planning.modeling.sizes import (
    ServerNeeds,
    host_memory_of_server,
    require_readings,
    server_is_in_models,
    server_memory_bytes,
)
from gpupack.planning.request import is_unknown
from gpupack.quoting import quoted
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, Resource, is_same_card
from gpupack.records.profile import RecordOrigin
from gpupack.spelling import in_words_of, setting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from gpupack.planning.request import Wishes
    from gpupack.profile_set import ProfileSet
    from gpupack.records.gpu import Fleet, FleetEntry, GpuType, Headroom
    from gpupack.records.profile import ProfileRecord


@dataclass(frozen=True)
class Supply:
    """GPUs of one type, and what may run on them.

    Args:
        entry: Type, count and price.
        measured_on: The type that the records are of; another one only where the
            memory was carried over, which then is all that holds of them.
        server: What the server alone holds; nothing where it is counted in models.
        records: By model name; a model without a record may not go here.
        is_carried_over: Whether the records were measured on another type.
        is_server_in_models: Whether the server's own memory binds and was not
            measured, so that every model's memory counts in full.
    """

    entry: FleetEntry
    measured_on: GpuType
    server: ServerNeeds
    records: Mapping[str, tuple[ProfileRecord, ...]]
    is_carried_over: bool = False
    is_server_in_models: bool = False

    def with_records(self, is_kept: Callable[[ProfileRecord], bool]) -> Supply:
        """Return it with these records alone, of the models that have any of them."""
        kept = {
            name: tuple(filter(is_kept, records))
            for name, records in self.records.items()
        }
        return replace(
            self, records={name: records for name, records in kept.items() if records}
        )

    @property
    def gpu_type(self) -> GpuType:
        """The type of the GPUs."""
        return self.entry.gpu_type

    @cached_property
    def capacities(self) -> dict[Resource, float]:
        """All there is of each resource of a GPU that could run out, in its unit."""
        gpu_type = self.entry.gpu_type
        found = {one: gpu_type.capacity_of(one) for one in Resource}
        return {one: float(whole) for one, whole in found.items() if whole is not None}


def supplies_of(
    fleet: Fleet,
    profiles: ProfileSet,
    records: Mapping[str, tuple[ProfileRecord, ...]],
    headroom: Headroom,
    *,
    carry_memory_over: bool,
    promises_traffic: bool,
    optional: Collection[str] = (),
) -> tuple[tuple[Supply, ...], tuple[str, ...]]:
    """Return the supply of each GPU type of the fleet, and warnings.

    Args:
        fleet: The GPUs that may be used.
        profiles: For the baselines.
        records: Allowed records by model name, of every GPU type.
        headroom: Says what binds.
        carry_memory_over: Whether a type without any record may take models whose
            memory was measured on another known one; only where nothing but memory
            binds. What was measured on an unknown type needs no such leave: nobody
            said that it was measured elsewhere.
        promises_traffic: Whether a demand or a throughput must hold.
        optional: Models that may have no records on any of the types.

    Raises:
        InvalidInputError: If a GPU type has no records and nothing may be carried
            over, or a model was profiled on none of the types and is not optional.
        MissingReadingError: If a reading that binds was not measured.
    """
    types = {one.name: one for one in profiles.gpu_types}
    # What models hold they hold on any card; a share of the time is one card's.
    is_memory_only = (
        all(resource.is_held for resource, _ in headroom) and not promises_traffic
    )
    is_memory_needed = headroom.memory is not None
    supplies = []
    by_type = _by_type(records)
    warnings: list[str] = []
    for entry in fleet.entries:
        name = entry.gpu_type.name
        entry.gpu_type.known_memory_bytes()
        measured_on = types.get(name) or next(
            (one for one in types.values() if is_same_card(one, entry.gpu_type)), None
        )
        is_carried_over = measured_on is None
        if measured_on is None:
            measured_on = _donor(types, name, carry_memory_over, is_memory_only)
            warnings.append(_carried_over(measured_on, name))
        here = by_type.get(measured_on.name, {})
        binding = headroom.binding_on(entry.gpu_type)
        require_readings(
            [record for of_model in here.values() for record in of_model], binding
        )
        baseline = server_memory_bytes(profiles, measured_on)
        is_server_in_models = baseline is None and is_memory_needed
        if is_server_in_models:
            warnings.append(server_is_in_models(profiles, measured_on))
        held = {Resource.MEMORY: baseline or 0}
        if binding.host_memory is not None:
            of_server = host_memory_of_server(profiles, measured_on)
            held[Resource.HOST_MEMORY] = of_server or 0
            if of_server is None:
                warnings.append(_SERVER_IN_EVERY_MODEL)
        supplies.append(
            Supply(
                entry,
                measured_on,
                ServerNeeds(held),
                here,
                is_carried_over,
                is_server_in_models,
            )
        )
    warnings = list(dict.fromkeys(warnings))
    warnings += _never_profiled(supplies, records, optional)
    return tuple(supplies), tuple(warnings)


_SERVER_IN_EVERY_MODEL = (
    "what the server alone holds of the host's memory was not measured, so it counts "
    "with every model: host_memory is rather too high"
)


def _by_type(
    records: Mapping[str, tuple[ProfileRecord, ...]],
) -> dict[str, dict[str, tuple[ProfileRecord, ...]]]:
    """Return records by the name of their GPU type, then by model name."""
    found: dict[str, dict[str, list[ProfileRecord]]] = {}
    for model_name, of_model in records.items():
        for one in of_model:
            of_type = found.setdefault(one.gpu_type.name, {})
            of_type.setdefault(model_name, []).append(one)
    return {
        type_name: {name: tuple(of_model) for name, of_model in of_type.items()}
        for type_name, of_type in found.items()
    }


def _donor(
    types: Mapping[str, GpuType],
    name: str,
    carry_memory_over: bool,
    is_memory_only: bool,
) -> GpuType:
    """Return the measured type whose memory readings stand in for ``name``'s."""
    unknown = next((one for one in types.values() if is_unknown(one)), None)
    if unknown is not None:
        if not is_memory_only:
            raise InvalidInputError(
                "the profiles do not say which GPU type they were measured on, and "
                "throughput and utilization hold on that type alone; with several "
                f"types to plan for, {name} among them, {_say_the_type()}, or plan for "
                "one type"
            )
        return unknown
    measured = ", ".join(sorted(types)) or "nothing"
    if not carry_memory_over:
        raise InvalidInputError(
            f"no model was profiled on {name}; profiles are of {measured}. Profile "
            f"there, leave it out of {setting('gpus')}, plan by memory alone with "
            f"{setting('carry_memory_over', True)}, or by estimates with "
            f"{setting('estimate_unmeasured', True)}"
        )
    if not is_memory_only:
        memory_alone = setting("headroom", {"memory": 1.0}, shell="memory=1")
        raise InvalidInputError(
            f"no model was profiled on {name}, and only memory carries over from "
            f"{measured}: let nothing else bind ({memory_alone}, no demand, not "
            f"max_throughput, no {setting('host_cpus_per_gpu')}), or profile on {name}"
        )
    # The largest card: what a model takes does not shrink with the card's memory.
    return max(types.values(), key=lambda one: (one.memory_bytes or 0, one.name))


def _say_the_type() -> str:
    column = 'the column "gpu" of a table'
    where = in_words_of(
        python=f"{column}, or read_profiles(path, gpu=...)", shell=column
    )
    return f"say which it was ({where})"


def _carried_over(measured_on: GpuType, name: str) -> str:
    if is_unknown(measured_on):
        return (
            "the profiles do not say which GPU type they were measured on: on "
            f"{name} their memory is planned with, and nothing else"
        )
    return (
        f"the profiles were measured on {measured_on.name}, not on {name}: their "
        "memory carries over, utilizations and throughput do not"
    )


def _never_profiled(
    supplies: list[Supply],
    records: Mapping[str, tuple[ProfileRecord, ...]],
    optional: Collection[str],
) -> list[str]:
    """Return a warning for each optional model that was profiled on no type.

    Raises:
        InvalidInputError: If one is not optional, or no other model is left.
    """
    warnings = []
    for model_name, of_model in records.items():
        if any(model_name in supply.records for supply in supplies):
            continue
        types = sorted({one.gpu_type.name for one in of_model})
        measured = ", ".join(types)
        named = ", ".join(supply.gpu_type.name for supply in supplies)
        reason = (
            f"{quoted(model_name)} was profiled on {measured}, but on none of the GPUs "
            f"to plan for: {named}"
        )
        if model_name not in optional or not any(one.records for one in supplies):
            raise InvalidInputError(
                f"{reason}; a model goes only where it was profiled"
                + (f": {_say_the_type()}" if UNKNOWN_GPU_TYPE.name in types else "")
            )
        warnings.append(f"optional model left out: {reason}")
    return warnings


def require_throughput(supplies: Sequence[Supply], wishes: Wishes) -> None:
    """Check that models without a demand were measured for the most throughput.

    Raises:
        MissingReadingError: Naming those whose throughput is missing, and why.
    """
    lacking = [
        one
        for one in _records(supplies)
        if one.throughput_infer_per_sec is None and one.model_name not in wishes.demand
    ]
    if lacking:
        names = ", ".join(dict.fromkeys(repr(record.model_name) for record in lacking))
        raise MissingReadingError(
            "max_throughput needs throughput_infer_per_sec, which is missing for "
            f"{names}: {lacking[0].missing['throughput_infer_per_sec']}"
        )


def doubts_of(supplies: Sequence[Supply]) -> tuple[str, ...]:
    """Return warnings about measurements that are used all the same."""
    below = [
        f"{quoted(record.model_name)} used less memory than the server alone; its own "
        "need is taken as 0"
        for supply in supplies
        for record in _records([supply])
        if record.gpu_memory_used_bytes is not None
        and record.gpu_memory_used_bytes < supply.server.of(Resource.MEMORY)
    ]
    unstable: dict[str, list[str]] = {}
    for record in _records(supplies):
        if record.is_stable is False:
            unstable.setdefault(record.model_name, []).append(str(record.load_point))
    never_settled = [
        f"measurements of {quoted(model_name)} that never settled: "
        f"{', '.join(dict.fromkeys(points))}"
        for model_name, points in unstable.items()
    ]
    guessed = {
        quoted(record.model_name): None
        for record in _records(supplies)
        if record.origin is RecordOrigin.ESTIMATED
    }
    told = [f"estimated from what ran, not measured: {', '.join(guessed)}"]
    return (*dict.fromkeys(below), *never_settled, *(told if guessed else ()))


def unshared_of(supplies: Sequence[Supply]) -> tuple[str, ...]:
    """Return warnings about composing models that may count more than once on a GPU."""
    calling = [
        records
        for records in (_records([supply]) for supply in supplies)
        if any(one.helpers for one in records)
    ]
    warnings = [text for records in calling for text in unmeasured_sharing(records)]
    return tuple(dict.fromkeys(warnings))


def _records(supplies: Iterable[Supply]) -> list[ProfileRecord]:
    return [
        record
        for supply in supplies
        for of_model in supply.records.values()
        for record in of_model
    ]
