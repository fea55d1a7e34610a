"""The oracle's own reading of a question: what may run where, and what it takes.

Nothing here comes from ``gpupack.planning`` or ``gpupack.packing``: it is written from
the docstring of ``place()``, on the public fields of the records, in exact fractions
of the decimals as they are written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.questions.composing import Part, composing_parts

if TYPE_CHECKING:
    from gpupack.records.profile import ProfileRecord
    from tests.questions.question import Question

MAX_REPLICAS = 10**6
UTILIZATIONS = ("gpu_utilization", "memory_utilization", "sm_utilization")


class RefusedError(Exception):
    """The question has no placement, and why: ``invalid`` or ``infeasible``."""

    def __init__(self, how: str, why: str) -> None:
        super().__init__(why)
        self.how = how


@dataclass(frozen=True)
class Option:
    """One record as a way to run its model on a GPU type.

    Args:
        model_name: The model.
        type_index: The GPU type.
        record: What was measured.
        memory_bytes: Its own; 0 where memory does not bind.
        parts: Of its own memory, what composing models take.
        host_bytes: Of its host's memory; 0 where that does not bind.
        loads: Of each binding utilization, in percent, and of the host's cores, in
            percent of those that a GPU of the type has.
        rate: Infer/sec alone; 0 where it counts for nothing.
    """

    model_name: str
    type_index: int
    record: ProfileRecord
    memory_bytes: int
    parts: tuple[Part, ...]
    host_bytes: int
    loads: tuple[Fraction, ...]
    rate: Fraction

    @property
    def point(self) -> str:
        """The load point in words."""
        return str(self.record.load_point)


@dataclass(frozen=True)
class GpuKind:
    """GPUs of one type.

    Args:
        name: Of the type.
        memory_room: Bytes for models, the server's taken off; None: does not bind.
        host_room: Bytes of the host's memory for models; None: does not bind.
        baseline_bytes: Of the server.
        count: None for as many as needed.
        price: None without one.
        is_carried: Whether only memory is known here.
        host_cpus: Cores of the host; None: they do not run out.
    """

    name: str
    memory_room: Fraction | None
    host_room: Fraction | None
    baseline_bytes: int
    count: int | None
    price: Fraction | None
    is_carried: bool
    host_cpus: float | None = None

    def holds(self, *options: Option) -> bool:
        """Return whether there is memory for all of these."""
        return all(
            room is None or sum(getattr(one, name) for one in options) <= room
            for name, room in (
                ("memory_bytes", self.memory_room),
                ("host_bytes", self.host_room),
            )
        )


@dataclass(frozen=True)
class Facts:
    """Everything that a placement must keep to.

    Args:
        objective: By its name.
        kinds: The GPU types.
        options: Ways to run each model, of all types.
        limits: Of each binding utilization, in percent.
        utilizations: Their names.
        binds_memory: Whether memory binds.
        models: Names of those to place, optional ones included.
        optional: Those that may be left out.
        demand: Infer/sec by model.
        replicas: By model; 1 where not asked.
        weights: By model; 1 where not asked.
        is_max_min: Whether the smallest share counts.
        is_predicted: Whether predicted throughput counts.
        floors: Retention asked for, by model.
        sharing: How GPUs are shared.
        has_replicas: Whether replicas were asked for, if only one of each.
    """

    objective: str
    kinds: tuple[GpuKind, ...]
    options: tuple[Option, ...]
    limits: tuple[Fraction, ...]
    utilizations: tuple[str, ...]
    binds_memory: bool
    models: tuple[str, ...]
    optional: frozenset[str]
    demand: dict[str, Fraction]
    replicas: dict[str, int]
    weights: dict[str, Fraction]
    is_max_min: bool
    is_predicted: bool
    floors: dict[str, float]
    sharing: str
    has_replicas: bool = False

    @property
    def is_in_full(self) -> bool:
        """Whether every demand must be met."""
        return self.objective != "max_throughput"

    def of_model(self, model_name: str) -> list[Option]:
        """Return the ways to run a model."""
        return [one for one in self.options if one.model_name == model_name]

    def at_best_points(self) -> Facts:
        """Return the facts with the options of most throughput that fit alone."""
        kept: list[Option] = []
        for name in self.models:
            fitting = [one for one in self.of_model(name) if self.fits_alone(one)]
            best = max((one.rate for one in fitting), default=Fraction(0))
            kept += [one for one in fitting if one.rate == best]
        return replace(self, options=tuple(kept))

    def fits_alone(self, option: Option) -> bool:
        """Return whether one instance at full load fits on a GPU of its own."""
        return self.kinds[option.type_index].holds(option) and all(
            load <= limit * (1 + Fraction(1, 10**9))
            for load, limit in zip(option.loads, self.limits, strict=True)
        )

    def rate_alone(self, option: Option, slack: Fraction) -> Fraction:
        """Return what one instance serves at most on a GPU of its own.

        Args:
            option: How it runs.
            slack: Relative, of what utilizations may sum to.
        """
        share = Fraction(1)
        for load, limit in zip(option.loads, self.limits, strict=True):
            if load > limit * (1 + slack):
                share = min(share, limit * (1 + slack) / load)
        return option.rate * share


def exact(number: float) -> Fraction:
    """Return a number as it is written in decimals."""
    return Fraction(repr(float(number)))


def read(question: Question) -> Facts:
    """Return the facts of a question.

    Raises:
        RefusedError: If the docstring says that the question cannot be answered.
    """
    profiles, asked = question.profiles, question.arguments
    objective = question.objective
    demand = {n: exact(v) for n, v in (asked.get("demand") or {}).items()}
    is_predicted = asked.get("contention", "plain") == "predicted"
    optional = frozenset(asked.get("optional") or ())
    shares = _shares(objective, bool(demand), is_predicted, asked.get("headroom", 1.0))
    _add_host(shares, asked)
    utilizations = tuple(one for one in (*UTILIZATIONS, "host_cpu") if one in shares)
    every = _pinned(question)
    records = {
        name: [one for one in of_model if _keeps_latency(one, asked)]
        for name, of_model in every.items()
    }
    named = _fleet(question)
    measured = {one.gpu_type.name: one.gpu_type for one in profiles.records}
    is_unknown = list(measured) == ["unknown"]
    only_memory = (
        set(shares) <= {"memory", "host_memory"}
        and not demand
        and objective != "max_throughput"
    )
    kinds: list[GpuKind] = []
    options: list[Option] = []
    for index, (type_name, memory, count) in enumerate(named):
        source = "unknown" if is_unknown else type_name
        is_carried = source not in measured
        if is_carried:
            if not (asked.get("carry_memory_over") and only_memory):
                raise RefusedError("invalid", f"no record of {type_name}")
            donor = max(
                measured.values(), key=lambda one: (one.memory_bytes or 0, one.name)
            )
            source = donor.name
        baseline = _baseline(question, source) if "memory" in shares else 0
        price = (asked.get("prices") or {}).get(type_name)
        room = (
            Fraction(memory) * exact(shares["memory"]) - baseline
            if "memory" in shares
            else None
        )
        host_bytes = _by_name(asked.get("host_memory_per_gpu"), type_name, None)
        of_server = _host_baseline(question, source)
        host_room = (
            None
            if host_bytes is None
            else host_bytes * exact(shares["host_memory"]) - of_server
        )
        kinds.append(
            GpuKind(
                type_name,
                room,
                host_room,
                baseline,
                count,
                None if price is None else exact(price),
                is_carried,
                _by_name(asked.get("host_cpus_per_gpu"), type_name, None),
            )
        )
        for name, of_model in records.items():
            for record in of_model:
                if record.gpu_type.name == source:
                    options.append(
                        _option(
                            name,
                            index,
                            record,
                            baseline,
                            utilizations,
                            "memory" in shares,
                            _by_name(asked.get("host_cpus_per_gpu"), type_name, None),
                            None if host_bytes is None else of_server,
                        )
                    )
    _require_known_models(question, every, options, optional, named, is_unknown)
    placed = {one.model_name for one in options}
    models = tuple(name for name in sorted(records) if name in placed)
    if not models:
        raise RefusedError("invalid", "no model is left")
    facts = Facts(
        objective=objective,
        kinds=tuple(kinds),
        options=tuple(options),
        limits=tuple(100 * exact(shares[one]) for one in utilizations),
        utilizations=utilizations,
        binds_memory="memory" in shares,
        models=models,
        optional=optional & set(models),
        demand={n: v for n, v in demand.items() if n in models},
        replicas={
            name: _by_name(asked.get("replicas"), name, 1) or 1 for name in models
        },
        weights={
            name: exact((asked.get("weights") or {}).get(name, 1.0)) for name in models
        },
        is_max_min=asked.get("fairness") == "max_min",
        is_predicted=is_predicted,
        floors={
            name: floor
            for name in models
            if (floor := _by_name(asked.get("min_retention"), name, None)) is not None
        },
        sharing=asked.get("sharing") or "time_slicing",
        has_replicas=bool(asked.get("replicas")),
    )
    _require_sane_demand(facts)
    return facts


def _require_sane_demand(facts: Facts) -> None:
    """Check that no demand would take more than a million replicas: a wrong unit."""
    for name, demand in facts.demand.items():
        rates = [
            facts.rate_alone(one, Fraction(0))
            for one in facts.of_model(name)
            if facts.kinds[one.type_index].holds(one)
        ]
        if rates and demand > MAX_REPLICAS * max(rates):
            raise RefusedError("invalid", f"{name}: {float(demand)} infer/sec")


def _shares(
    objective: str, has_demand: bool, is_predicted: bool, headroom: Any
) -> dict[str, float]:
    """Return the share that may be used of whatever binds."""
    if isinstance(headroom, dict):
        return dict(headroom)
    if is_predicted:
        return {"memory": headroom}
    if objective == "max_throughput" or has_demand:
        return dict.fromkeys(("memory", *UTILIZATIONS[:2]), headroom)
    return {"memory": headroom}


def _add_host(shares: dict[str, float], asked: dict[str, Any]) -> None:
    """Add the share of what is said of the host, which binds then."""
    headroom = asked.get("headroom", 1.0)
    for name, argument in (
        ("host_cpu", "host_cpus_per_gpu"),
        ("host_memory", "host_memory_per_gpu"),
    ):
        if asked.get(argument) is not None:
            shares[name] = (
                headroom.get(name, 1.0) if isinstance(headroom, dict) else headroom
            )
        elif name in shares:
            raise RefusedError("invalid", f"{name} without {argument}")


def _host_baseline(question: Question, type_name: str) -> int:
    for one in question.profiles.baselines:
        if one.gpu_type.name == type_name:
            return one.host_memory_bytes or 0
    return 0


def _by_name(given: Any, name: str, otherwise: Any) -> Any:
    if given is None:
        return otherwise
    return given.get(name, otherwise) if isinstance(given, dict) else given


def _pinned(question: Question) -> dict[str, list[ProfileRecord]]:
    pins = question.arguments.get("load_point")
    found: dict[str, list[ProfileRecord]] = {}
    for record in question.profiles.records:
        found.setdefault(record.model_name, [])
        pin = _by_name(pins, record.model_name, None)
        if pin is None or str(record.load_point) == pin:
            found[record.model_name].append(record)
    unmeasured = [name for name, of_model in found.items() if not of_model]
    if unmeasured:
        raise RefusedError("invalid", f"{unmeasured} not measured at the load point")
    return found


def _keeps_latency(record: ProfileRecord, asked: dict[str, Any]) -> bool:
    limit = _by_name(asked.get("latency_limit_ms"), record.model_name, None)
    if limit is None:
        return True
    percentile = asked.get("latency_percentile", 99)
    latency_us = getattr(record, f"latency_p{percentile}_us")
    return latency_us is not None and exact(latency_us) <= 1000 * exact(limit)


def _fleet(question: Question) -> list[tuple[str, int, int | None]]:
    """Return name, memory and count of every GPU type."""
    gpus = question.arguments.get("gpus")
    if isinstance(gpus, dict):
        return [
            (name, question.gpu_memory_bytes[name], count)
            for name, count in gpus.items()
        ]
    types = {one.gpu_type.name: one.gpu_type for one in question.profiles.records}
    if len(types) != 1:
        raise RefusedError("invalid", "measured on several types, and none is named")
    (only,) = types.values()
    if only.memory_bytes is None:
        raise RefusedError("invalid", "the memory of the type is not known")
    return [(only.name, only.memory_bytes, gpus)]


def _baseline(question: Question, type_name: str) -> int:
    for one in question.profiles.baselines:
        if one.gpu_type.name == type_name and one.gpu_memory_used_bytes is not None:
            return one.gpu_memory_used_bytes
    raise RefusedError("invalid", f"no baseline of {type_name}")


def _option(
    name: str,
    index: int,
    record: ProfileRecord,
    baseline: int,
    utilizations: tuple[str, ...],
    binds_memory: bool,
    host_cpus: float | None,
    host_baseline: int | None,
) -> Option:
    loads = []
    for one in utilizations:
        if one == "host_cpu":
            value = record.host_cpu_cores
            parts = Fraction(0) if host_cpus is None else 100 / exact(host_cpus)
            if host_cpus is None:
                value = 0.0
        else:
            value, parts = getattr(record, f"{one}_percent"), Fraction(1)
        if value is None:
            raise RefusedError("invalid", f"{name} has no {one}")
        loads.append(exact(value) * parts)
    held = record.host_memory_bytes
    if host_baseline is not None and held is None:
        raise RefusedError("invalid", f"{name} has no host_memory")
    used = record.gpu_memory_used_bytes
    if binds_memory and used is None:
        raise RefusedError("invalid", f"{name} has no memory reading")
    own = max(0, (used or 0) - baseline) if binds_memory else 0
    return Option(
        name,
        index,
        record,
        own,
        composing_parts(record, own),
        0 if host_baseline is None else max(0, (held or 0) - host_baseline),
        tuple(loads),
        exact(record.throughput_infer_per_sec or 0.0),
    )


def _require_known_models(
    question: Question,
    every: dict[str, list[ProfileRecord]],
    options: list[Option],
    optional: frozenset[str],
    named: list[tuple[str, int, int | None]],
    is_unknown: bool,
) -> None:
    """Check that each model that is not optional may run somewhere."""
    type_names = {name for name, _, _ in named}
    for name, of_model in every.items():
        if name in optional or any(one.model_name == name for one in options):
            continue
        here = [
            one for one in of_model if is_unknown or one.gpu_type.name in type_names
        ] or of_model
        percentile = question.arguments.get("latency_percentile", 99)
        if all(_keeps_latency(one, question.arguments) for one in here):
            raise RefusedError("invalid", f"{name} was profiled on none of the GPUs")
        if all(getattr(one, f"latency_p{percentile}_us") is None for one in here):
            raise RefusedError("invalid", f"{name} has no latency readings")
        raise RefusedError("infeasible", f"no load point of {name} keeps its latency")
