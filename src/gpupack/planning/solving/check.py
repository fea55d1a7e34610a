# Long because everything that a placement promises is checked in one place.
"""An independent check of every placement, from what it says itself.

Written apart from the planner: from the records that the placement holds and what was
asked, in exact fractions of decimals as written, without the integers that were packed.
What floating point shows to be within a limit, beyond all rounding, needs no fractions:
they are formed where it does not (a floating-point filter: Shewchuk, "Adaptive
precision floating-point arithmetic and fast robust geometric predicates", 1997).
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from gpupack.errors import CheckError
from gpupack.planning.contention import (
    RetentionRule,
    predict_retentions,
    resolve_contention,
)
from gpupack.planning.modeling import READING_TOLERANCE
from gpupack.planning.request import BUDGET_TOLERANCE
from gpupack.records.gpu import Resource, is_same_card
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpupack.planning.contention import Contention
    from gpupack.planning.modeling import CapacityQuestion
    from gpupack.records.gpu import GpuType
    from gpupack.records.placement import Assignment, GpuPlacement, PlacementRecord
    from gpupack.records.profile import ProfileRecord

TRAFFIC_TOLERANCE = Fraction(5, 10**6)
"""Traffic is shared out to one part in a million, and read from there."""
PRICE_UNIT = Fraction(1, 10**6)
"""Prices are rounded up to millionths."""
PROVED_TOLERANCE = 1.1e-6
"""Gap up to which what is served counts as proved."""
RETENTION_TOLERANCE = 1e-5
ROUNDING_ROOM = 1e-9
"""Relative: sums in floating point of parts ≥ 0 are closer, up to a million parts."""
READINGS = {
    Resource.GPU_UTILIZATION: "gpu_utilization_percent",
    Resource.MEMORY_UTILIZATION: "memory_utilization_percent",
    Resource.SM_UTILIZATION: "sm_utilization_percent",
    Resource.HOST_CPU: "host_cpu_cores",
}
MEMORIES = (Resource.MEMORY, Resource.HOST_MEMORY)


def check_placement(placement: PlacementRecord, question: CapacityQuestion) -> None:
    """Check all that a placement promises against its records and what was asked.

    That is: who may run where, and at which load point; memory and utilizations of
    every GPU; numbers of GPUs, and what they cost; instances, and the traffic of every
    model; what models keep beside each other; the value, and that it does not beat
    the bound.

    Args:
        placement: With the records of its models.
        question: What was asked.

    Raises:
        CheckError: Naming the model or GPU that is wrong.
    """
    _Check(placement, question).run()


def _where(gpu: GpuPlacement, one: Assignment) -> str:
    return f"GPU {gpu.gpu_index}: {one.model_name!r} at {one.load_point}"


@dataclass(frozen=True, slots=True)
class _Instance:
    """An assignment, and the record it stands for."""

    assignment: Assignment
    record: ProfileRecord
    is_carried_over: bool

    @property
    def name(self) -> str:
        return self.assignment.model_name

    @property
    def load(self) -> Fraction:
        """Traffic ÷ throughput, exactly."""
        served = self.assignment.served_infer_per_sec
        if served is None:
            return Fraction(1)
        rate = self.record.throughput_infer_per_sec or 0.0
        return Fraction(repr(served)) / Fraction(repr(rate)) if rate else Fraction(0)

    @property
    def load_ratio(self) -> float:
        """Traffic ÷ throughput, to a rounding."""
        served = self.assignment.served_infer_per_sec
        if served is None:
            return 1.0
        rate = self.record.throughput_infer_per_sec
        return served / rate if rate else 0.0


class _Check:
    def __init__(self, placement: PlacementRecord, question: CapacityQuestion) -> None:
        self._placement = placement
        self._shares = tuple(placement.headroom)
        self._question = question
        self._wishes = question.wishes
        self._instances: Counter[str] = Counter()
        self._served: dict[str, list[tuple[float, int]]] = {
            name: [] for name in question.wishes.demand
        }
        self._at_full_rate: Counter[tuple[float, float]] = Counter()
        self._predicted = 0.0
        # By identity: to compare types and load points takes longer than what is
        # looked up, and the placement, which lives as long, holds them.
        self._limits: dict[tuple[int, Resource], Fraction | None] = {}
        self._measured: dict[tuple[int, str, int], ProfileRecord] = {}
        self._contention: dict[str, Contention] = {}
        self._records: dict[str, list[ProfileRecord]] = {}
        for record in placement.profiles:
            self._records.setdefault(record.model_name, []).append(record)
        self._baselines = {
            one.gpu_type.name: one.gpu_memory_used_bytes
            for one in question.profiles.baselines
        }
        self._host_baselines = {
            one.gpu_type.name: one.host_memory_bytes
            for one in question.profiles.baselines
        }
        self._offered = {
            entry.gpu_type.name: entry.gpu_type for entry in question.fleet.entries
        }

    def run(self) -> None:
        self._check_fleet()
        # Of thousands of GPUs most hold the same, which is checked once.
        for gpu in self._placement.gpus.runs:
            self._check_gpu(gpu, gpu.num_gpus)
        self._check_models()
        self._check_value()

    def _check_fleet(self) -> None:
        placement, question = self._placement, self._question
        used = placement.gpus_by_type
        if placement.num_gpus != len(placement.gpus):
            raise CheckError(
                f"num_gpus is {placement.num_gpus}, not {len(placement.gpus)}"
            )
        offered = {entry.gpu_type.name: entry for entry in question.fleet.entries}
        for name, number in used.items():
            if name not in offered:
                raise CheckError(f"{number} {name} GPUs, which were not offered")
            most = offered[name].num_gpus
            if most is not None and number > most:
                raise CheckError(f"{number} {name} GPUs, of which there are {most}")
        if question.max_gpus is not None and placement.num_gpus > question.max_gpus:
            raise CheckError(f"{placement.num_gpus} GPUs, not {question.max_gpus}")
        if question.max_price_per_hour is not None:
            price = self._price()
            budget = Fraction(repr(question.max_price_per_hour))
            # A third of something is paid for by a third of its price.
            if price > budget * (1 + 2 * BUDGET_TOLERANCE) + PRICE_UNIT:
                raise CheckError(
                    f"the GPUs cost {float(price)}, not {question.max_price_per_hour}"
                )

    def _price(self) -> Fraction:
        prices = {
            entry.gpu_type.name: Fraction(repr(entry.price_per_hour or 0.0))
            for entry in self._question.fleet.entries
        }
        used = self._placement.gpus_by_type
        return _sum(prices[name] * number for name, number in used.items())

    def _check_gpu(self, gpu: GpuPlacement, multiplicity: int) -> None:
        instances = [self._instance(gpu, one) for one in gpu.assignments]
        if not instances:
            raise CheckError(f"GPU {gpu.gpu_index} holds no model")
        _require_one_variant_each(gpu)
        for one in instances:
            self._instances[one.name] += multiplicity
            served = one.assignment.served_infer_per_sec
            weight = self._wishes.weights.get(one.name, 1.0)
            if served is not None:
                self._served[one.name].append((served, multiplicity))
            elif one.record.throughput_infer_per_sec is not None:
                rate = one.record.throughput_infer_per_sec
                self._at_full_rate[rate, weight] += multiplicity
            predicted = one.assignment.predicted_infer_per_sec
            self._predicted += (predicted or 0.0) * weight * multiplicity
        for resource, share in self._shares:
            limit = self._limit(gpu.gpu_type, resource, share)
            if limit is None:
                continue  # of the host, and nobody said how much there is
            if resource in MEMORIES:
                used = Fraction(
                    self._memory(gpu, instances)
                    if resource is Resource.MEMORY
                    else self._host_memory(instances)
                )
            else:
                readings = _readings(instances, resource)
                loads = [one.load_ratio for one in instances]
                if min(loads) < 1:
                    limit *= 1 + TRAFFIC_TOLERANCE
                if _is_within(list(map(operator.mul, readings, loads)), limit):
                    continue
                used = _sum(
                    Fraction(repr(reading)) * one.load
                    for reading, one in zip(readings, instances, strict=True)
                )
            if used > limit:
                raise CheckError(
                    f"GPU {gpu.gpu_index} ({_names(instances)}) uses {float(used)} of "
                    f"{resource.value}, more than {float(limit)}"
                )
        if self._placement.min_retention:
            self._check_retention(gpu, instances)
        if self._question.latency_limits is not None:
            self._check_latency(gpu, instances)

    def _limit(
        self, gpu_type: GpuType, resource: Resource, share: float
    ) -> Fraction | None:
        """Return how much may be used, readings' precision included; None if unsaid."""
        kind = id(gpu_type), resource
        if kind not in self._limits:
            whole = self._capacity(gpu_type, resource)
            slack = 0 if resource in MEMORIES else READING_TOLERANCE
            self._limits[kind] = (
                None if whole is None else Fraction(repr(share)) * whole * (1 + slack)
            )
        return self._limits[kind]

    def _check_latency(self, gpu: GpuPlacement, instances: Sequence[_Instance]) -> None:
        """Check what the rule predicts of latency against the limits, as asked for."""
        late_us = self._latencies_by_rule_us(gpu, instances)
        for one, latency_us in zip(gpu.assignments, late_us, strict=True):
            limit_ms = self._wishes.latency_limit_ms.get(one.model_name)
            if limit_ms != one.latency_limit_ms:
                raise CheckError(
                    f"{_where(gpu, one)} has a limit of {one.latency_limit_ms} ms, "
                    f"asked for were {limit_ms}"
                )
            if limit_ms is None or not one.served_infer_per_sec:
                continue
            if latency_us > 1000 * limit_ms:
                raise CheckError(
                    f"{_where(gpu, one)} is predicted to take {latency_us} µs at its "
                    f"traffic, not within {limit_ms} ms"
                )

    def _latencies_by_rule_us(
        self, gpu: GpuPlacement, instances: Sequence[_Instance]
    ) -> list[float]:
        limits = self._question.latency_limits
        assert limits is not None
        rule = RetentionRule(
            [one.record for one in instances],
            self._contention_on(gpu, instances),
            {},
            loads=[one.load_ratio for one in instances],
            latency=limits,
        )
        found = rule.latencies_by_rule_s(
            tuple((item, 1) for item in range(len(instances))), [limits.percentile]
        )
        return [1e6 * latency_s for (latency_s,) in found]

    def _contention_on(
        self, gpu: GpuPlacement, instances: Sequence[_Instance]
    ) -> Contention:
        """Return how the GPUs of this one's type are shared."""
        offered = self._offered[gpu.gpu_type.name]
        if offered.name not in self._contention:
            self._contention[offered.name] = resolve_contention(
                self._question.profiles,
                instances[0].record.gpu_type,
                self._question.sharing,
                host_cores=offered.host_cpus_per_gpu,
            )
        return self._contention[offered.name]

    def _instance(self, gpu: GpuPlacement, one: Assignment) -> _Instance:
        """Return what an assignment stands for.

        Raises:
            CheckError: If the model may not run there so, or not serve so much.
        """
        place = id(gpu.gpu_type), one.model_name, id(one.load_point)
        record = self._measured.get(place)
        is_carried_over = False
        if record is None:
            record, is_carried_over = self._record_of(gpu, one)
            self._require_allowed(gpu, one, record)
            if not is_carried_over:
                self._measured[place] = record
        served = one.served_infer_per_sec
        if (one.model_name in self._wishes.demand) is not (served is not None):
            raise CheckError(f"{_where(gpu, one)} serves {served} infer/sec")
        rate = record.throughput_infer_per_sec or 0.0
        # Of two numbers as written the larger one is the larger float.
        if served is not None and served > rate:
            most = Fraction(repr(rate)) * (1 + TRAFFIC_TOLERANCE)
            if Fraction(repr(served)) > most:
                raise CheckError(
                    f"{_where(gpu, one)} serves {served} infer/sec, more than {rate}"
                )
        return _Instance(one, record, is_carried_over)

    def _require_allowed(
        self, gpu: GpuPlacement, one: Assignment, record: ProfileRecord
    ) -> None:
        """Check that a model may run at the load point of a record.

        Raises:
            CheckError: If it was not to run there so, or its latency is not allowed.
        """
        if not any(
            allowed.load_point == one.load_point
            and allowed.gpu_type.name == record.gpu_type.name
            for allowed in self._question.records_in_any_time.get(one.model_name, ())
        ):
            raise CheckError(
                f"{_where(gpu, one)} was not to run so on {record.gpu_type.name}"
            )
        limit_ms = self._wishes.latency_limit_ms.get(one.model_name)
        if limit_ms is not None:
            percentile = self._wishes.latency_percentile
            latency_us = getattr(record, f"latency_p{percentile}_us")
            if latency_us is None or Fraction(repr(latency_us)) > 1000 * Fraction(
                repr(limit_ms)
            ):
                raise CheckError(
                    f"{_where(gpu, one)} has a p{percentile} of {latency_us} µs, "
                    f"not within {limit_ms} ms"
                )

    def _record_of(
        self, gpu: GpuPlacement, one: Assignment
    ) -> tuple[ProfileRecord, bool]:
        """Return the record of an assignment, and whether it is of another type."""
        known = [
            record
            for record in self._records.get(one.model_name, [])
            if record.load_point == one.load_point
        ]
        here = [record for record in known if record.gpu_type.name == gpu.gpu_type.name]
        here = here or [
            record for record in known if is_same_card(record.gpu_type, gpu.gpu_type)
        ]
        if here:
            return here[0], False
        is_memory_alone = not self._wishes.demand and all(
            resource in MEMORIES for resource, _ in self._shares
        )
        if is_memory_alone:
            for record in known:
                if self._own_memory(gpu, record) == one.memory_bytes:
                    return record, True
        raise CheckError(f"{_where(gpu, one)} was not measured on {gpu.gpu_type.name}")

    def _own_memory(self, gpu: GpuPlacement, record: ProfileRecord) -> int:
        """Return what a model takes beside the server, which has to be there."""
        baseline = self._baselines.get(record.gpu_type.name)
        if baseline is None:
            # Records of an unknown type have the baseline of one.
            baseline = gpu.baseline_memory_bytes
        return max(0, (record.gpu_memory_used_bytes or 0) - baseline)

    def _memory(self, gpu: GpuPlacement, instances: Sequence[_Instance]) -> int:
        baseline = max(
            self._baselines.get(one.record.gpu_type.name) or gpu.baseline_memory_bytes
            for one in instances
        )
        own = [self._own_memory(gpu, one.record) for one in instances]
        for one, taken in zip(instances, own, strict=True):
            if one.assignment.memory_bytes != taken:
                raise CheckError(
                    f"GPU {gpu.gpu_index}: {one.name!r} takes {taken} bytes, not "
                    f"{one.assignment.memory_bytes}"
                )
        saved = _saved_bytes(instances, own)
        told = sum(one.saved_bytes for one in gpu.shared_models)
        if told != saved:
            raise CheckError(
                f"GPU {gpu.gpu_index} ({_names(instances)}) saves {saved} bytes by "
                f"what its models share, not {told}"
            )
        return baseline + sum(own) - saved

    def _host_memory(self, instances: Sequence[_Instance]) -> int:
        """Return what the server and its models hold of the host's memory, in bytes.

        Raises:
            CheckError: If it was not measured.
        """
        of_server = max(
            self._host_baselines.get(one.record.gpu_type.name) or 0 for one in instances
        )
        total = of_server
        for one in instances:
            held = one.record.host_memory_bytes
            if held is None:
                raise CheckError(f"{one.name!r}: host_memory is not known")
            total += max(0, held - of_server)
        return total

    def _capacity(self, gpu_type: GpuType, resource: Resource) -> Fraction | None:
        """Return what there is, of the host as the fleet says it; None if unsaid."""
        if resource is Resource.MEMORY:
            return Fraction(gpu_type.known_memory_bytes())
        if resource in (Resource.HOST_CPU, Resource.HOST_MEMORY):
            offered = self._offered[gpu_type.name]
            if resource is Resource.HOST_MEMORY:
                held = offered.host_memory_per_gpu
                return None if held is None else Fraction(held)
            cores = offered.host_cpus_per_gpu
            return None if cores is None else Fraction(repr(cores))
        return Fraction(100)

    def _check_retention(
        self, gpu: GpuPlacement, instances: Sequence[_Instance]
    ) -> None:
        contention = self._contention_on(gpu, instances)
        kept = predict_retentions(
            [one.record for one in instances],
            contention_factor=contention.factor,
            shape=contention.shape,
            loads=[one.load_ratio for one in instances],
            host_cores=contention.host_cores,
        )
        for one, share in zip(instances, kept, strict=True):
            asked = self._placement.min_retention.get(one.name, 0.0)
            if share < asked - RETENTION_TOLERANCE:
                raise CheckError(
                    f"GPU {gpu.gpu_index}: {one.name!r} keeps {share} of its "
                    f"throughput, less than {asked}"
                )

    def _check_models(self) -> None:
        placement, wishes = self._placement, self._wishes
        in_full = placement.objective is not Objective.MAX_THROUGHPUT
        for name in self._question.model_names:
            number, asked = self._instances[name], wishes.replicas.get(name, 1)
            is_optional = name in wishes.optional
            if number == 0 and is_optional:
                continue
            demand = wishes.demand.get(name)
            most = wishes.most_replicas.get(name) if demand is not None else asked
            least = 0 if is_optional and demand is None else asked
            if number < least or (most is not None and number > most):
                raise CheckError(f"{name!r} has {number} instances, not {asked}")
            if demand is None:
                continue
            if self._is_served_closely(name, demand):
                continue
            wanted, served = Fraction(repr(demand)), self._served_exactly(name)
            slack = wanted * TRAFFIC_TOLERANCE
            if served > wanted + slack:
                raise CheckError(f"{name!r} serves {float(served)}, more than {demand}")
            if in_full and not is_optional and served < wanted - slack:
                raise CheckError(f"{name!r} serves {float(served)}, less than {demand}")
        unknown = set(self._instances) - set(self._question.model_names)
        if unknown:
            raise CheckError(f"{', '.join(map(repr, sorted(unknown)))} was not asked")

    def _is_served_closely(self, name: str, demand: float) -> bool:
        """Return whether a demand is met to half of the tolerance, beyond rounding."""
        parts = [rate * number for rate, number in self._served[name]]
        is_plain = min(parts, default=-1.0) >= 0
        return is_plain and math.isclose(
            math.fsum(parts), demand, rel_tol=float(TRAFFIC_TOLERANCE) / 2
        )

    def _served_exactly(self, name: str) -> Fraction:
        return _sum(
            Fraction(repr(rate)) * number for rate, number in self._served[name]
        )

    def _check_value(self) -> None:
        """Check the value against what runs, and that it does not beat the bound."""
        placement = self._placement
        value, bound, unit = (
            placement.objective_value,
            placement.bound,
            placement.objective_unit,
        )
        right, slack = self._value_of_what_runs(unit)
        if abs(value - right) > slack:
            raise CheckError(
                f"the value is told as {unit.told(value)}, but it is {unit.told(right)}"
            )
        by = value - bound if unit.is_maximized else bound - value
        told = f"the value {value!r} and the bound {bound!r}"
        if by > (1e-9 if unit.is_maximized else 1e-12) * abs(value):
            raise CheckError(f"{told}: no value beats its bound")
        if placement.status is PlacementStatus.OPTIMAL:
            close = PROVED_TOLERANCE if unit.is_maximized else 1e-12
            if -by > close * max(abs(value), abs(bound)):
                raise CheckError(f"{told} are apart, but the placement counts as best")

    def _value_of_what_runs(self, unit: ObjectiveUnit) -> tuple[float, float]:
        """Return what the GPUs, or their traffic, are worth, and how closely."""
        wishes = self._wishes
        if unit is ObjectiveUnit.GPUS:
            return float(len(self._placement.gpus)), 0.0
        if unit is ObjectiveUnit.PRICE_PER_HOUR:
            price = self._price()
            slack = PRICE_UNIT * len(self._placement.gpus)
            return float(price), float(slack + price * BUDGET_TOLERANCE)
        if unit is ObjectiveUnit.SERVED_SHARE:
            demands = {
                name: Fraction(repr(demand))
                for name, demand in wishes.demand.items()
                if demand > 0 and name not in wishes.optional
            }
            share = min(self._served_exactly(name) / demands[name] for name in demands)
            return float(share), float(TRAFFIC_TOLERANCE * share)
        if self._question.maximizes_predicted:
            return self._predicted, RETENTION_TOLERANCE * self._predicted
        weights = {
            name: Fraction(repr(wishes.weights.get(name, 1.0)))
            for name in wishes.demand
        }
        total = _sum(
            Fraction(repr(rate)) * Fraction(repr(weight)) * number
            for (rate, weight), number in self._at_full_rate.items()
        ) + _sum(weights[name] * self._served_exactly(name) for name in self._served)
        return float(total), float(TRAFFIC_TOLERANCE * total)


def _is_within(parts: Sequence[float], limit: Fraction) -> bool:
    """Return whether a sum is within a limit whatever the parts' rounding."""
    is_plain = min(parts, default=0.0) >= 0
    return is_plain and math.fsum(parts) <= float(limit) * (1 - ROUNDING_ROOM)


def _readings(instances: Sequence[_Instance], resource: Resource) -> list[float]:
    """Return a utilization of each, in percent, as measured.

    Raises:
        CheckError: If one holds for another GPU type, or was not measured.
    """
    found = []
    for one in instances:
        value = _reading(one.record, resource)
        if value is None or one.is_carried_over:
            raise CheckError(f"{one.name!r}: {resource.value} is not known there")
        found.append(value)
    return found


def _reading(record: ProfileRecord, resource: Resource) -> float | None:
    """Return a utilization: the highest, or the average where that is all there is."""
    value: float | None = getattr(record, READINGS[resource])
    if value is None and resource is Resource.GPU_UTILIZATION:
        return record.gpu_utilization_mean_percent
    return value


def _saved_bytes(instances: Sequence[_Instance], own: Sequence[int]) -> int:
    """Return by how much models on one GPU take less than alone, for what they share.

    Of each composing model as many are there as its neediest caller has; one that is
    placed itself is one of them.
    """
    # By composing model: what each caller has of it, copy by copy.
    needed: dict[tuple[str, tuple[int, ...], str], dict[str, list[int]]] = {}
    alone = []
    for one, taken in zip(instances, own, strict=True):
        left = taken
        for helper in one.record.helper_memory:
            size = min(helper.memory_bytes, left)
            left -= size
            variant = _called_as(helper.model_name, one.record)
            model = helper.model_name, helper.versions, variant
            needed.setdefault(model, {}).setdefault(one.name, []).append(size)
        alone.append(left)
    saved = 0
    placed: set[str] = set()
    for (name, versions, variant), callers in sorted(needed.items()):
        there = []
        if name not in placed:
            there = [
                rest
                for one, rest in zip(instances, alone, strict=True)
                if one.name == name and _serves(one.record, versions, variant)
            ]
        if there:
            placed.add(name)
        counted = [
            sum(sizes) - sum(min(rest, *sizes) for rest in there)
            for sizes in callers.values()
        ]
        saved += sum(map(sum, callers.values())) - max(0, *counted)
    return saved


def _called_as(helper: str, record: ProfileRecord) -> str:
    """Return the configuration in which a helper is called; empty if it has one."""
    variant = record.load_point.variant
    names = [] if variant is None else [one.name for one in variant.composing]
    own = re.compile(re.escape(helper) + r"(_config_.*)?", re.DOTALL)
    return next((name for name in names if own.fullmatch(name)), "")


def _serves(record: ProfileRecord, versions: tuple[int, ...], variant: str) -> bool:
    """Return whether a placed model is what its callers were measured with."""
    point, version = record.load_point, record.model_version
    is_configured = variant in {"", "" if point.variant is None else point.variant.name}
    return is_configured and (not versions or version in (None, *versions))


def _require_one_variant_each(gpu: GpuPlacement) -> None:
    """Check that a GPU's server has one configuration of each model.

    Raises:
        CheckError: Naming the GPU and the model.
    """
    variants: dict[str, object] = {}
    for one in gpu.assignments:
        variant = one.load_point.variant
        if variants.setdefault(one.model_name, variant) != variant:
            raise CheckError(
                f"GPU {gpu.gpu_index}: {one.model_name!r} is there as "
                f"{variants[one.model_name]} and as {variant}"
            )


def _names(instances: Sequence[_Instance]) -> str:
    return ", ".join(dict.fromkeys(repr(one.name) for one in instances))


def _sum(parts: Iterable[Fraction]) -> Fraction:
    return sum(parts, Fraction(0))
