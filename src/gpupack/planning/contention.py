"""What co-location costs, predicted from solo profiles alone.

Every model is a class of customers in a closed queueing network with two
stations. A customer is one request that the server really works on. It spends

* the time ``Z`` elsewhere: in the client, on the CPU, in copies;
* then ``D`` seconds of GPU time, stretched by every other request there.

Both follow from the solo profile: ``D = U / X`` (GPU utilization ÷ requests per
second, the utilization law) and ``Z`` is what makes the model, alone, reproduce
the measured rate; for one customer ``Z = 1 / X − D``. A model has as many
customers as it executes at once: ``min(concurrency, model instances)``.

A request at the GPU with ``j`` others takes ``1 + c·j`` times as long, where
``c`` is the *contention factor* of the sharing mode: 1 is processor sharing, less
is running side by side, more is losing time to switching. Such a network has a
product form for every ``c``, and by the arrival theorem its exact solution is the
recursion of mean value analysis over populations ``N``::

    R_i(N) = D_i · (1 + c · Q(N − e_i))
    X_i(N) = N_i / (Z_i + R_i(N))
    Q(N)   = Σ_i X_i(N) · R_i(N)

Retention is ``X_i(N) ÷ X_i`` alone. Beyond ``MAX_EXACT_CUSTOMERS`` customers the
recursion is replaced by the fixed point that takes a class's queue without one of
its customers as ``(N_i − 1) / N_i`` of the queue with it: at that size a point or two
more pessimistic, never more optimistic.

Limits: one GPU resource, at one factor for every pair of models; the CPU, the
PCIe bus and the L2 cache are not stations, so a host short of cores loses more
than is predicted here.

References:
    Reiser and Lavenberg, "Mean-value analysis of closed multichain queuing
    networks", Journal of the ACM 27(2), 1980. Bard, "Some extensions to multiclass
    queueing network analysis", 1979; Schweitzer, "Approximate analysis of multiclass
    closed networks of queues", 1979. Baskett, Chandy, Muntz and Palacios, Journal of
    the ACM 22(2), 1975, for the product form of a station with state-dependent rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import ProfileRecord

MAX_EXACT_CUSTOMERS = 10
"""Populations up to this many customers are solved exactly."""

DEFAULT_CONTENTION_FACTORS = {
    SharingMode.TIME_SLICING: 1.25,
    SharingMode.MPS: 0.55,
    SharingMode.STREAMS: 1.0,
}
"""Used where nothing was calibrated: fitted on an H200, see the documentation.

Streams were not measured and are taken as fair sharing.
"""

HOST_CONTENTION_FACTOR = 1.0
"""On the host device processes share cores fairly; nothing needs fitting."""

_FIXED_POINT_TOLERANCE = 1e-10
_MAX_FIXED_POINT_STEPS = 10_000
_MIN_GPU_SHARE = 1e-9


@dataclass(frozen=True, slots=True)
class CustomerClass:
    """One model as the network sees it, per request.

    Args:
        gpu_demand_s: GPU time of one request that has the GPU for itself, > 0.
        elsewhere_s: Time of one request outside the GPU, ≥ 0.
        num_customers: Requests executed at once, ≥ 1.
    """

    gpu_demand_s: float
    elsewhere_s: float
    num_customers: int = 1

    def __post_init__(self) -> None:
        if not (
            self.gpu_demand_s > 0 and self.elsewhere_s >= 0 and self.num_customers >= 1
        ):
            raise InvalidInputError(
                "a customer class needs a GPU demand > 0 s, a time elsewhere ≥ 0 s and "
                f"at least one customer, got {self}"
            )


def has_readings(record: ProfileRecord) -> bool:
    """Return whether a record has what the prediction needs."""
    return record.throughput_infer_per_sec is not None and (
        record.gpu_utilization_mean_percent is not None
        or record.gpu_utilization_percent is not None
    )


def customer_class(record: ProfileRecord, contention_factor: float) -> CustomerClass:
    """Return how the network sees the model of ``record``.

    The GPU's share of time is the mean utilization, or the highest where the
    profile has no mean (which predicts more loss). The time elsewhere is solved
    for, so that the model alone reproduces the measured rate.

    Raises:
        MissingReadingError: If the record has no throughput or no GPU utilization.
    """
    requests_per_sec = record.requests_per_sec
    busy_percent = record.gpu_utilization_mean_percent
    if busy_percent is None:
        busy_percent = record.gpu_utilization_percent
    missing = [
        name
        for name, value in (
            ("throughput_infer_per_sec", requests_per_sec),
            ("gpu_utilization_mean_percent or gpu_utilization_percent", busy_percent),
        )
        if value is None
    ]
    if requests_per_sec is None or busy_percent is None:
        raise MissingReadingError(
            f"predicting what sharing a GPU costs {record.model_name} at "
            f"{record.load_point} needs {' and '.join(missing)}, which the profile "
            "does not have; measure it with `gpupack profile` on a machine whose GPU "
            "reports utilization, or give the column in the table"
        )
    # One in-flight request per model instance: an instance executes one at a time,
    # and Triton runs one instance per GPU unless the model asks for more.
    num_customers = min(
        record.load_point.concurrency, max(record.num_model_instances or 1, 1)
    )
    share = max(busy_percent / 100, _MIN_GPU_SHARE)
    return class_from_solo(
        requests_per_sec, share, num_customers, contention_factor=contention_factor
    )


def class_from_solo(
    requests_per_sec: float,
    gpu_share: float,
    num_customers: int = 1,
    *,
    contention_factor: float,
) -> CustomerClass:
    """Return the customer class that alone yields the measured rate and GPU share.

    Where ``num_customers`` sharing the GPU among themselves could not even reach the
    measured rate (a contention factor above 1 and a busy GPU), no time is left
    elsewhere and the demand is lowered until they do.
    """
    demand_s = gpu_share / requests_per_sec
    if num_customers == 1:
        elsewhere_s = max(1 / requests_per_sec - demand_s, 0.0)
        return CustomerClass(1 / requests_per_sec - elsewhere_s, elsewhere_s)
    stretch = 1 + contention_factor * (num_customers - 1)
    if num_customers / (demand_s * stretch) <= requests_per_sec:
        return CustomerClass(
            num_customers / (requests_per_sec * stretch), 0.0, num_customers
        )
    low, high = 0.0, num_customers / requests_per_sec
    for _ in range(60):
        middle = (low + high) / 2
        trial = CustomerClass(demand_s, middle, num_customers)
        if rates([trial], contention_factor=contention_factor)[0] > requests_per_sec:
            low = middle
        else:
            high = middle
    return CustomerClass(demand_s, (low + high) / 2, num_customers)


def rates(
    classes: Sequence[CustomerClass], *, contention_factor: float
) -> tuple[float, ...]:
    """Return every class's requests per second when all share one GPU.

    Exact up to ``MAX_EXACT_CUSTOMERS`` customers, approximate beyond.
    """
    if sum(one.num_customers for one in classes) <= MAX_EXACT_CUSTOMERS:
        return exact_rates(classes, contention_factor=contention_factor)
    return approximate_rates(classes, contention_factor=contention_factor)


def exact_rates(
    classes: Sequence[CustomerClass], *, contention_factor: float
) -> tuple[float, ...]:
    """Return the rates by exact mean value analysis.

    Takes O(classes × Π (customers + 1)): under 0.1 ms for six models of one customer.
    """
    strides: list[int] = []
    num_populations = 1
    for one in classes:
        strides.append(num_populations)
        num_populations *= one.num_customers + 1
    queue = [0.0] * num_populations
    inputs = [
        (stride, one.num_customers + 1, one.gpu_demand_s, one.elsewhere_s)
        for stride, one in zip(strides, classes, strict=True)
    ]
    for population in range(1, num_populations):
        total = 0.0
        for stride, radix, demand_s, elsewhere_s in inputs:
            count = population // stride % radix
            if count:
                at_gpu_s = demand_s * (
                    1 + contention_factor * queue[population - stride]
                )
                total += count * at_gpu_s / (elsewhere_s + at_gpu_s)
        queue[population] = total
    return tuple(
        one.num_customers
        / (
            one.elsewhere_s
            + one.gpu_demand_s * (1 + contention_factor * queue[-1 - stride])
        )
        for stride, one in zip(strides, classes, strict=True)
    )


def approximate_rates(
    classes: Sequence[CustomerClass], *, contention_factor: float
) -> tuple[float, ...]:
    """Return the rates by the Schweitzer–Bard fixed point, for any population."""
    queues = [one.num_customers / 2 for one in classes]
    for _ in range(_MAX_FIXED_POINT_STEPS):
        total = sum(queues)
        change = 0.0
        updated = []
        for one, queue in zip(classes, queues, strict=True):
            seen = total - queue / one.num_customers
            at_gpu_s = one.gpu_demand_s * (1 + contention_factor * seen)
            new = one.num_customers * at_gpu_s / (one.elsewhere_s + at_gpu_s)
            change = max(change, abs(new - queue))
            updated.append((new + queue) / 2)
        queues = updated
        if change < _FIXED_POINT_TOLERANCE:
            break
    total = sum(queues)
    return tuple(
        one.num_customers
        / (
            one.elsewhere_s
            + one.gpu_demand_s
            * (1 + contention_factor * (total - queue / one.num_customers))
        )
        for one, queue in zip(classes, queues, strict=True)
    )


def predict_retentions(
    records: Sequence[ProfileRecord], *, contention_factor: float
) -> tuple[float, ...]:
    """Return each model's predicted throughput together ÷ alone, in order.

    Args:
        records: The solo profile of every model instance on the GPU; a model that
            runs there twice is given twice.
        contention_factor: Of the GPU type and sharing mode, ≥ 0.

    Raises:
        MissingReadingError: If a record lacks what the prediction needs.
        InvalidInputError: If the factor is below 0, or the records come from
            different GPU types.
    """
    if contention_factor < 0:
        raise InvalidInputError(
            f"a contention factor is at least 0 (no interference), got "
            f"{contention_factor}"
        )
    names = sorted({record.gpu_type.name for record in records})
    if len(names) > 1:
        raise InvalidInputError(
            "models that share a GPU need profiles from one GPU type, got "
            f"{', '.join(names)}; profile them on the same type"
        )
    if len(records) == 1:
        customer_class(records[0], contention_factor)  # complain about what is missing
        return (1.0,)
    classes = [customer_class(record, contention_factor) for record in records]
    together = rates(classes, contention_factor=contention_factor)
    return tuple(
        min(rate / alone, 1.0)
        for rate, alone in zip(
            together,
            (record.requests_per_sec or 0.0 for record in records),
            strict=True,
        )
    )


def default_contention_factor(kind: DeviceKind, sharing_mode: SharingMode) -> float:
    """Return the factor to use where nothing was calibrated."""
    if kind is DeviceKind.HOST:
        return HOST_CONTENTION_FACTOR
    return DEFAULT_CONTENTION_FACTORS[sharing_mode]
