# Long because a question becomes the integers of one problem in one place.
"""Models, load points and GPU types as jobs, options and bin types."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.packing import BinType, CapacityProblem, Job, Option
from gpupack.planning.composing import memory_rule, overlaps
from gpupack.planning.modeling.load_levels import FULL_LOAD, LoadLevel
from gpupack.planning.modeling.service_units import (
    demand_units,
    service_units,
    units_down,
)
from gpupack.planning.modeling.sizes import (
    capacity_for,
    packed_sizes,
    require_readings,
)
from gpupack.planning.request import price_units
from gpupack.quoting import quoted
from gpupack.records.gpu import Resource
from gpupack.records.request import MAX_REPLICAS
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpupack.planning.composing import SharedRoom
    from gpupack.planning.modeling.supply import Supply
    from gpupack.planning.request import Wishes
    from gpupack.records.gpu import Headroom
    from gpupack.records.profile import ProfileRecord

UNKNOWN_RATE = 1
"""Of a throughput that is not known; the engine wants one. Never where it counts: it
only tells equally good placements apart, where what is not known counts least."""

_UNLIMITED = 1
"""Of a resource that does not bind on a type, and of which its options take nothing."""


@dataclass(frozen=True)
class Translation:
    """A capacity problem and what its indices stand for.

    Args:
        problem: Job i is ``model_names[i]``, bin type t is ``supplies[t]``.
        model_names: Sorted.
        supplies: One per GPU type.
        records: Of each option.
        service_units: Per job, in how many units an infer/sec is counted. Weights make
            up for the differences: weighted service is counted in the finest.
        least_service: Per option, in units, what every copy serves before the engine
            shares out the rest.
        load_levels: Of each option.
        shares_memory: Whether some models share composing models, so that what fits
            is no sum of sizes.
    """

    problem: CapacityProblem
    model_names: tuple[str, ...]
    supplies: tuple[Supply, ...]
    records: tuple[ProfileRecord, ...]
    service_units: tuple[int, ...]
    least_service: tuple[int, ...]
    load_levels: tuple[LoadLevel, ...]
    shares_memory: bool = False

    def infer_per_sec(self, option: int, service: float) -> float:
        """Return what a copy of an option serves, in infer/sec."""
        service += self.least_service[option]
        return service / self.service_units[self.problem.options[option].job]

    def weighted_infer_per_sec(self, value: float) -> float:
        """Return the weighted service of a plan, in infer/sec."""
        return value / max(self.service_units)


def translate(
    supplies: Sequence[Supply],
    headroom: Headroom,
    wishes: Wishes,
    model_names: Sequence[str],
    *,
    needs_throughput: bool,
    load_levels: Sequence[LoadLevel] = (FULL_LOAD,),
    fixed_replicas: Mapping[str, int] | None = None,
    least_traffic: Mapping[str, float] | None = None,
    counts_shared_once: bool = True,
) -> Translation:
    """Return the capacity problem.

    A model with a demand takes memory in full and utilizations in proportion to the
    traffic of each replica; one without takes all that its record says. Models that
    share composing models take at least their sizes, and what they take is a rule.

    Args:
        supplies: GPU types with their records.
        headroom: What binds.
        wishes: What is asked of the models.
        model_names: To plan for.
        needs_throughput: Whether a model without a demand needs one, too.
        load_levels: At which replicas of models with a demand may run: each is an
            option that takes its share of the utilizations.
        fixed_replicas: By model name: exactly so many replicas.
        least_traffic: Of each of them, if they are several, in infer/sec.
        counts_shared_once: Whether models on a GPU share what they call.

    Raises:
        MissingReadingError: If a binding resource or a throughput is missing.
        InvalidInputError: If a demand would take more than ``MAX_REPLICAS`` replicas.
    """
    binding = [resource for resource, _ in headroom]
    names = tuple(sorted(model_names))
    options: list[Option] = []
    records: list[ProfileRecord] = []
    least_service: list[int] = []
    levels: list[LoadLevel] = []
    most_ratio = max(one.most_ratio for one in load_levels)
    fixed = fixed_replicas or {}
    every = [
        record
        for supply in supplies
        for name in names
        for record in supply.records.get(name, ())
    ]
    for supply in supplies:
        require_readings(
            [one for name in names for one in supply.records.get(name, ())],
            headroom.binding_on(supply.gpu_type),
        )
    _require_throughput(every, wishes, needs_throughput=needs_throughput)
    is_rated = all(record.throughput_infer_per_sec is not None for record in every)
    throughputs = _throughputs(every)
    units = tuple(
        service_units(throughputs.get(name, ()), wishes.demand.get(name))
        for name in names
    )
    _require_own_throughput(supplies, wishes, needs_throughput=needs_throughput)
    least = [
        math.ceil(Fraction(repr((least_traffic or {}).get(name, 0.0))) * units[job])
        if fixed.get(name, 1) > 1
        else 0
        for job, name in enumerate(names)
    ]
    demands = [
        max(
            0,
            demand_units(
                wishes.demand[name],
                throughputs.get(name, ()),
                units[job],
                most_ratio,
            )
            - least[job] * fixed.get(name, 1),
        )
        if name in wishes.demand
        else None
        for job, name in enumerate(names)
    ]
    job_of = {name: job for job, name in enumerate(names)}
    rooms: list[SharedRoom | None] = []
    places: list[int] = []
    for bin_type, supply in enumerate(supplies):
        here = [one for name in names for one in supply.records.get(name, ())]
        sizes_of, room = packed_sizes(
            here,
            headroom,
            supply.gpu_type,
            supply.server,
            in_part=wishes.demand,
            counts_shared_once=counts_shared_once,
        )
        rooms.append(room)
        for place, (record, sizes) in enumerate(zip(here, sizes_of, strict=True)):
            job = job_of[record.model_name]
            is_whole = record.model_name not in wishes.demand
            rated = not is_whole or (is_rated and not supply.is_carried_over)
            sizes = tuple(
                size if resource in supply.capacities else 0
                for resource, size in zip(binding, sizes, strict=True)
            )
            is_fixed = [is_whole or one.is_held for one in binding]
            for level in _levels_of_use(record, wishes, load_levels):
                taken = [
                    size if fixed_size else math.ceil(size * level.most_ratio)
                    for size, fixed_size in zip(sizes, is_fixed, strict=True)
                ]
                option = Option(
                    job=job,
                    bin_type=bin_type,
                    fixed=_where(taken, is_fixed, wanted=True),
                    proportional=_where(taken, is_fixed, wanted=False),
                    rate=units_down(
                        record.throughput_infer_per_sec,
                        units[job],
                        level.most_ratio,
                    )
                    if rated
                    else UNKNOWN_RATE,
                )
                if option.rate <= least[job]:
                    continue  # it cannot serve as much as every replica must
                option = _serving_at_least(option, least[job])
                options.append(_serving_at_most(option, demands[job]))
                records.append(record)
                levels.append(level)
                least_service.append(least[job])
                places.append(place)
    most_units = max(units, default=1)
    jobs = tuple(
        Job(
            demand=demands[job],
            copies=fixed.get(name, wishes.replicas.get(name, 1)),
            max_copies=fixed.get(name, wishes.most_replicas.get(name)),
            weight=wishes.weights.get(name, 1.0) * (most_units // units[job]),
            is_optional=name in wishes.optional,
            name=f"model {name!r}",
        )
        for job, name in enumerate(names)
    )
    problem = CapacityProblem(
        tuple(
            _bin_type(
                supply,
                headroom,
                [one for one in options if one.bin_type == bin_type],
                jobs,
            )
            for bin_type, supply in enumerate(supplies)
        ),
        jobs,
        tuple(options),
        rule=memory_rule(rooms, places),
        overlaps=overlaps(
            rooms,
            places,
            [option.bin_type for option in options],
            dimension=binding.index(Resource.MEMORY) if any(rooms) else 0,
        ),
    )
    _require_sane_demand(problem, names, wishes, units)
    return Translation(
        problem,
        names,
        tuple(supplies),
        tuple(records),
        units,
        tuple(least_service),
        tuple(levels),
        any(rooms),
    )


def _levels_of_use(
    record: ProfileRecord, wishes: Wishes, load_levels: Sequence[LoadLevel]
) -> Sequence[LoadLevel]:
    """Return the levels up to the one at which a replica serves all the demand."""
    demand = wishes.demand.get(record.model_name)
    if demand is None:
        return (FULL_LOAD,)
    rate = record.throughput_infer_per_sec or 0.0
    too_low = [one for one in load_levels if one.most_ratio * rate < demand]
    return load_levels[: len(too_low) + 1]


def _serving_at_least(option: Option, least: int) -> Option:
    """Return the option of which every copy serves so much before all else."""
    if not least:
        return option
    taken = [-(-size * least // option.rate) for size in option.proportional]
    return replace(
        option,
        fixed=tuple(
            size + part for size, part in zip(option.fixed, taken, strict=True)
        ),
        proportional=tuple(
            size - part for size, part in zip(option.proportional, taken, strict=True)
        ),
        rate=option.rate - least,
    )


def _serving_at_most(option: Option, demand: int | None) -> Option:
    """Return the option of which no copy could serve more than the whole demand.

    What it could serve beyond is of no use, and rates far above a demand would make
    what serving it takes vanish beside what serving all of the rate would.
    """
    if demand is None or option.rate <= demand:
        return option
    rate = max(1, demand)
    return replace(
        option,
        proportional=tuple(
            -(-size * rate // option.rate) for size in option.proportional
        ),
        rate=rate,
    )


def _throughputs(records: Iterable[ProfileRecord]) -> dict[str, set[float]]:
    """Return the different throughputs of each model, in infer/sec."""
    found: dict[str, set[float]] = {}
    for record in records:
        found.setdefault(record.model_name, set()).add(
            record.throughput_infer_per_sec or 0.0
        )
    return found


def _bin_type(
    supply: Supply,
    headroom: Headroom,
    options: Sequence[Option],
    jobs: Sequence[Job],
) -> BinType:
    return BinType(
        capacity=tuple(
            capacity_for(
                (
                    size
                    for one in options
                    for size in _sizes_to_sum(one, jobs[one.job], index)
                ),
                supply.gpu_type,
                headroom,
                resource,
                supply.server,
            )
            if resource in supply.capacities
            else _UNLIMITED
            for index, (resource, _) in enumerate(headroom)
        ),
        cost=price_units(supply.entry.price_per_hour or 0.0),
        count=supply.entry.num_gpus,
    )


def _sizes_to_sum(option: Option, job: Job, index: int) -> Iterator[int]:
    """Yield what copies take of a resource: at their full rate, and with the rest.

    A demand is served by copies at their full rate and one that serves what is left.
    """
    fixed, loaded = option.fixed[index], option.proportional[index]
    yield fixed + loaded
    if job.demand and loaded:
        yield fixed - (-loaded * (job.demand % option.rate) // option.rate)


def _where(
    sizes: Sequence[int], is_fixed: Sequence[bool], *, wanted: bool
) -> tuple[int, ...]:
    return tuple(
        size if fixed is wanted else 0
        for size, fixed in zip(sizes, is_fixed, strict=True)
    )


def _require_throughput(
    records: Sequence[ProfileRecord], wishes: Wishes, *, needs_throughput: bool
) -> None:
    lacking = [
        record
        for record in records
        if record.throughput_infer_per_sec is None
        and (needs_throughput or record.model_name in wishes.demand)
    ]
    if lacking:
        names = ", ".join(sorted({repr(record.model_name) for record in lacking}))
        what = (
            "a demand" if lacking[0].model_name in wishes.demand else "max_throughput"
        )
        raise MissingReadingError(
            f"{what} needs throughput_infer_per_sec, which is missing for {names}: "
            f"{lacking[0].missing['throughput_infer_per_sec']}"
        )


def _require_own_throughput(
    supplies: Sequence[Supply], wishes: Wishes, *, needs_throughput: bool
) -> None:
    """Check that throughput counts only on the type that it was measured on.

    Raises:
        ValueError: If not; what takes arguments has refused it.
    """
    if (needs_throughput or wishes.demand) and any(
        supply.is_carried_over for supply in supplies
    ):
        raise ValueError("a throughput that was measured on another GPU type counts")


def _require_sane_demand(
    problem: CapacityProblem,
    names: Sequence[str],
    wishes: Wishes,
    units: Sequence[int],
) -> None:
    for index, name in enumerate(names):
        demand = problem.jobs[index].demand
        rates = [problem.rate_alone(i) for i in problem.options_by_job[index]]
        if demand and rates and demand > MAX_REPLICAS * max(rates):
            best = max(rates) / units[index]
            raise InvalidInputError(
                f"a demand of {in_digits(wishes.demand[name], 6)} infer/sec of "
                f"{quoted(name)} is beyond any replica count: one replica serves "
                f"{in_digits(best, 6)} infer/sec at most, and {MAX_REPLICAS:,} "
                "replicas are taken for a wrong unit; give inferences "
                "(requests × batch size) per second"
            )
