"""Everything that ``place()`` is asked, as data: ``Request``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypedDict

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import whole_number
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import Fleet, GpuType, Headroom
from gpupack.records.profile import LoadPoint
from gpupack.records.record import Record
from gpupack.records.request.arrivals import Arrivals
from gpupack.records.request.currencies import require_one_currency
from gpupack.records.request.objective import (
    Billing,
    ContentionRule,
    Fairness,
    LatencyRule,
    Objective,
)
from gpupack.records.request.request_fault import as_path, fault_in_words
from gpupack.records.request.said_at import SaidAt
from gpupack.records.request.wish_types import (
    COUNT_BRANCH,
    PERCENTILES,
    TYPES_BRANCH,
    Count,
    HeadroomWish,
    HostCpus,
    HostMemory,
    KeptShare,
    Must,
    NumberFromZero,
    NumGpus,
    PinnedLoadPoint,
    PositiveNumber,
    Price,
    Replicas,
    Seed,
    YesOrNo,
    fault,
    supply_by_name,
    supply_form,
)

if TYPE_CHECKING:
    from pydantic import ModelWrapValidatorHandler


class ModelWishes(Record):
    """What is asked of one model; None where nothing is."""

    demand: Annotated[NumberFromZero | None, Must("finite, infer/sec, ≥ 0")] = None
    """Infer/sec to be served, by as many replicas as needed; 0 keeps it loaded, with no
    traffic to meet, and None says that nobody knows."""
    latency_limit_ms: Annotated[
        PositiveNumber | None, Must("finite, milliseconds, > 0")
    ] = None
    """Load points that exceed it, measured alone, are no options."""
    replicas: Annotated[Replicas | None, Must("a whole number from 1 to 1,000,000")] = (
        None
    )
    """Exactly so many without a demand (default 1), at least so many with one."""
    max_replicas: Annotated[
        Replicas | None, Must("a whole number from 1 to 1,000,000")
    ] = None
    """At most so many, of a model with a demand."""
    min_traffic: Annotated[PositiveNumber | None, Must("finite, infer/sec, > 0")] = None
    """Infer/sec that each of several replicas serves at least, with a demand."""
    one_load_point: Annotated[YesOrNo | None, Must("true or false")] = None
    """Whether all replicas run at one load point."""
    weight: Annotated[PositiveNumber | None, Must("finite, a number > 0")] = None
    """Of one infer/sec in ``max_throughput``; default 1."""
    optional: Annotated[YesOrNo | None, Must("true or false")] = None
    """Whether the model may be left out."""
    left_out: Annotated[YesOrNo | None, Must("true or false")] = None
    """Whether the model is not planned for, as if it had no profile."""
    min_retention: Annotated[
        KeptShare | None, Must('a number above 0 and at most 1, such as 0.9, or "90%"')
    ] = None
    """The share of its throughput that it is predicted to keep beside neighbors."""
    load_point: PinnedLoadPoint | None = None
    """The only load point to plan with: ``2x4``."""


class GpuSupply(Record):
    """What there is of one GPU type."""

    count: Annotated[
        NumGpus | None,
        Must("a whole number ≥ 1, of at most a billion, or none for as many as needed"),
    ] = None
    """None: as many as needed."""
    price: Price | None = None
    """Per GPU and hour on demand, in the caller's currency."""
    reserved_price: Price | None = None
    """Per GPU and hour where GPUs are reserved; counts with ``billing: reserved``."""
    memory_mib: Annotated[PositiveNumber | None, Must("MiB, > 0")] = None
    """Of a card that neither the profiles nor the catalogue know."""
    host_cpus_per_gpu: HostCpus | None = None
    """Cores of its host that each GPU's models may use; None: they do not bind."""
    host_memory_per_gpu: HostMemory | None = None
    """Memory of its host that they may hold, in bytes or as ``64GB``; None likewise."""

    @model_validator(mode="before")
    @classmethod
    def _of_count(cls, value: object) -> object:
        """Take a number for the count: ``T4: 8``, and nothing for as many as needed."""
        if value is None or isinstance(value, int):
            return {"count": value}
        return value


def _arrivals(value: object) -> object:
    # A request is data: what a file of times says belongs into a burstiness.
    if isinstance(value, str):
        with suppress(InvalidInputError):
            if Arrivals.by_name(value) is not None:
                return value
    raise fault("; poisson, constant, or gamma:BURSTINESS such as gamma:0.5")


def _percentile(value: object) -> object:
    number = whole_number(value)
    if number not in PERCENTILES:
        raise fault(f"; profiles have {', '.join(map(str, PERCENTILES))}")
    return number


class Request(Record):
    """Everything that ``place()`` is asked.

    As YAML::

        objective: min_cost
        gpus: {T4: {count: 8, price: 0.35}, L4: {price: 0.71}}
        headroom: 80%
        defaults: {latency_limit_ms: 50}
        models:
          resnet: {demand: 20, replicas: 2}
          bert: {optional: true}

    Raises:
        InvalidInputError: Naming the field by its path (``models.resnet.demand``), the
            value and what is allowed.
    """

    kind: Literal["request"] = "request"
    schema_version: Literal[1] = 1
    objective: Objective = Objective.MIN_GPUS
    models: dict[str, ModelWishes] = Field(default_factory=dict)
    """What is asked of models by name; those not named are placed, too."""
    defaults: ModelWishes = ModelWishes()
    """What is asked of every model that is not asked otherwise."""
    gpus: Annotated[
        Annotated[
            Annotated[NumGpus, Tag(COUNT_BRANCH)]
            | Annotated[dict[str, GpuSupply], Tag(TYPES_BRANCH)],
            Discriminator(supply_form),
        ]
        | None,
        BeforeValidator(supply_by_name),
        Must("a whole number ≥ 1, of at most a billion, or GPU types by name"),
    ] = None
    """The supply by GPU type; or how many there are of the type that the profiles were
    measured on, None for as many of those as needed."""
    max_gpus: Annotated[
        NumGpus | None, Must("a whole number ≥ 1, of at most a billion")
    ] = None
    """GPUs of all types together, at most."""
    max_price_per_hour: Annotated[
        PositiveNumber | None, Must("a finite price per hour, > 0")
    ] = None
    """What all GPUs together may cost."""
    headroom: HeadroomWish = 1.0
    """The share that may be used of whatever binds, or of each resource that shall."""
    latency_percentile: Annotated[int, BeforeValidator(_percentile)] = 99
    """Of the latency limits: 50, 90, 95 or 99."""
    fairness: Fairness = Fairness.SUM
    """How throughput that does not suffice for all is shared out."""
    sharing: SharingMode | None = None
    """How models share a GPU; None: time slicing."""
    contention: ContentionRule = ContentionRule.PLAIN
    """Whether throughput counts as measured alone or as predicted together."""
    demand_met: ContentionRule = ContentionRule.PLAIN
    """Whether replicas serve as much as measured alone, or as predicted together."""
    latency: LatencyRule = LatencyRule.ALONE
    """Whether latency limits are about what was measured alone, or is predicted beside
    neighbors for the planned traffic."""
    arrivals: Annotated[str, BeforeValidator(_arrivals)] = "poisson"
    """How the requests of planned traffic arrive: ``poisson``, ``constant``, or
    ``gamma:BURSTINESS``, in bursts where that is below 1."""
    growth: Annotated[PositiveNumber, Must("finite and > 0, such as 1.5")] = 1.0
    """What every demand is multiplied by."""
    billing: Billing = Billing.ON_DEMAND
    """Which of a GPU's prices counts."""
    currency: Annotated[str | None, Field(strict=True, min_length=1, max_length=20)] = (
        None
    )
    """Of all prices, as it is to be told: ``EUR``."""
    carry_memory_over: Annotated[YesOrNo, Must("true or false")] = False
    """Let models go on a GPU type without records, by memory alone."""
    estimate_unmeasured: Annotated[YesOrNo, Must("true or false")] = False
    """Plan for GPU types without records by published figures; nothing is promised."""
    allow_unstable: Annotated[YesOrNo, Must("true or false")] = False
    """Use measurements that never settled."""
    time_limit_s: Annotated[NumberFromZero, Must("finite and ≥ 0 seconds")] = 10.0
    seed: Annotated[Seed, Must("a whole number from 0 to 2147483647")] = 0
    workers: Annotated[Count | None, Must("a whole number of threads ≥ 1")] = None
    """Threads of the search: None for what the machine offers; with 1 the same input
    and seed give the same placement."""

    _said_at: SaidAt = PrivateAttr(default_factory=SaidAt)

    @model_validator(mode="wrap")
    @classmethod
    def _faults_are_told_by_path(
        cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if isinstance(value, Mapping) and value.get("gpus"):
            require_one_currency(value)
        try:
            return handler(value)
        except ValidationError as err:
            words = (info.context or {}).get("words", as_path)
            raise fault_in_words(err, (cls, ModelWishes, GpuSupply), words) from err

    def said(self, places: Mapping[tuple[str, ...], str]) -> Self:
        """Return the request, which then knows where some of it was said.

        Args:
            places: By path, ``("models", "resnet", "weight")``: in words, such as
                "'models.csv', column 'weight'".
        """
        found = self.model_copy()
        found._said_at = SaidAt(places)
        return found

    @property
    def said_at(self) -> Mapping[tuple[str, ...], str]:
        """Where what a file or a column asked was said, by path."""
        return self._said_at

    def place_of(self, *path: str) -> str | None:
        """Return where a field was said, None if by argument or not at all."""
        return self._said_at.get(path)

    def place_of_wish(self, wish: str, model_name: str) -> str | None:
        """Return where a wish about a model was said, by itself or for all models."""
        own = self.models.get(model_name)
        if own is not None and getattr(own, wish) is not None:
            return self.place_of("models", model_name, wish)
        return self.place_of("defaults", wish)

    def of_model(self, model_name: str) -> ModelWishes:
        """Return what is asked of a model, what holds for all included."""
        own = self.models.get(model_name)
        if own is None:
            return self.defaults
        return self.defaults.model_copy(update=dict(asked_of(own)))

    def __str__(self) -> str:
        """Return what was asked as JSON, less what was left as it is by default."""
        return self.model_dump_json(indent=2, exclude_none=True, exclude_defaults=True)

    def to_json(self) -> str:
        """Return the whole request as indented JSON; ``read_request`` reads it."""
        return self.model_dump_json(indent=2, exclude_none=True)


def asked_of(wishes: ModelWishes) -> list[tuple[str, object]]:
    """Return the names and values of the wishes that are there."""
    return [(name, value) for name, value in wishes if value is not None]


GpusLike = (
    str
    | GpuType
    | int
    | tuple[str | GpuType, int | None]
    | Mapping[str, int | GpuSupply | None]
    | Mapping[GpuType, int | None]
    | Fleet
)
"""One GPU type without limit; a number of the type measured on; a type with a
count; counts by type; or a whole fleet."""
HeadroomLike = float | str | Mapping[str, float] | Mapping[str, str] | Headroom
"""A share of whatever binds by default (0.8 or "80%"), or of each that shall bind."""
LoadPointLike = str | LoadPoint | Mapping[str, str | LoadPoint]
"""One load point for every model (``"2x4"``), or one by model name."""
ForModels = float | Mapping[str, float]
"""A number for every model, or by model name."""
ForGpuTypes = float | str | Mapping[str, float] | Mapping[str, str]
"""An amount for GPUs of every type, or by the name of the type."""
MemoryForGpuTypes = int | str | Mapping[str, int] | Mapping[str, str]
"""Bytes, or such as ``"64GB"``, for GPUs of every type, or by the name of the type."""


class RequestArguments(TypedDict, total=False):
    """How the wishes of a request are given to ``place()``, ``frontier()`` and others.

    A wish about models is one value for all of them, or values by model name.
    """

    gpus: GpusLike | None
    prices: Mapping[str, float] | None
    reserved_prices: Mapping[str, float] | None
    host_cpus_per_gpu: ForGpuTypes | None
    host_memory_per_gpu: MemoryForGpuTypes | None
    max_gpus: int | None
    max_price_per_hour: float | None
    headroom: HeadroomLike
    load_point: LoadPointLike | None
    demand: ForModels | None
    latency_limit_ms: ForModels | None
    latency_percentile: int
    replicas: int | Mapping[str, int] | None
    max_replicas: int | Mapping[str, int] | None
    min_traffic: ForModels | None
    one_load_point: bool | Mapping[str, bool] | None
    weights: ForModels | None
    fairness: Fairness | str | None
    optional: str | Sequence[str]
    without: str | Sequence[str]
    carry_memory_over: bool
    estimate_unmeasured: bool
    min_retention: ForModels | None
    sharing: SharingMode | str | None
    contention: ContentionRule | str
    demand_met: ContentionRule | str
    latency: LatencyRule | str
    arrivals: str
    growth: float
    billing: Billing | str
    currency: str | None
    time_limit_s: float
    seed: int
    workers: int | None
    allow_unstable: bool
