"""What co-location costs, predicted from solo profiles alone.

Every model is a class of customers in a closed queueing network with two
stations. A customer is one request that the server really works on. It spends

* the time ``Z`` elsewhere: in the client, on the CPU, in copies;
* then ``D`` seconds of GPU time, stretched by every other request there.

Both follow from the solo profile: ``D = U / X`` (GPU utilization ÷ requests per
second, the utilization law) and ``Z`` is what makes the model, alone, reproduce
the measured rate; for one customer ``Z = 1 / X − D``. A model has as many
customers as it executes at once: ``min(concurrency, model instances)``.

What a request at the GPU adds to another's time there depends on the *way of
sharing*. Every class has a weight as the one that waits, ``v``, and one as the one
that is waited for, ``b``, and by the arrival theorem of mean value analysis, over
populations ``N``::

    R_i(N) = D_i + c · (v_i · P(N − e_i) + S(N − e_i))
    X_i(N) = N_i / (Z_i + R_i(N))
    P(N)   = Σ_j b_j · X_j(N) · R_j(N)
    S(N)   = Σ_j min(q, D_j) · X_j(N) · R_j(N)

    v = D^p     · s^a · (d + ε)^−h
    b = D^(1−p) · s^g · (d + ε)^h

``c`` is the *contention factor*, ``q`` a time slice, ``s`` the share of the SMs and
``d`` the share of the DRAM bandwidth that a model uses while it is on the GPU (GPM
readings ÷ GPU utilization), ``ε`` a hundredth. With ``p = 1`` and all else 0 this is
processor sharing, a network of product form, and the recursion is exact. Under time
slicing a request also waits for what is left of a slice, or of a shorter request
(``S``). Under MPS kernels run side by side: a neighbor with few busy SMs disturbs
little (``g``), many short kernels wait for a neighbor's long ones (``p < 1``), and of
two models that want the same SMs the one that moves more memory gets more (``h``).
``SHARING_SHAPES`` has slice and exponents of each way of sharing; calibrating a GPU
fits ``c`` alone.

Retention is ``X_i(N) ÷ X_i`` alone. All weights are positive, so adding a model never
helps another. Beyond ``MAX_EXACT_CUSTOMERS`` customers the
recursion is replaced by the fixed point that takes a class's pressure without one of
its customers as ``(N_i − 1) / N_i`` of that with it: at that size a point or two
more pessimistic, never more optimistic.

Limits: the CPU and the PCIe bus are not stations, so a host short of cores loses more
than is predicted here; how long a model's kernels are, which decides who waits under
MPS, is not in a profile, only its traces in ``D``, ``s`` and ``d`` are.

References:
    Reiser and Lavenberg, "Mean-value analysis of closed multichain queuing
    networks", Journal of the ACM 27(2), 1980. Bard, "Some extensions to multiclass
    queueing network analysis", 1979; Schweitzer, "Approximate analysis of multiclass
    closed networks of queues", 1979. Baskett, Chandy, Muntz and Palacios, Journal of
    the ACM 22(2), 1975, for the product form of a station with state-dependent rates.
    Weights by class, as in the approximation of queues with unequal service times:
    Reiser, "A queueing network analysis of computer communication networks with
    window flow control", IEEE Transactions on Communications 27(8), 1979.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import ProfileRecord

MAX_EXACT_CUSTOMERS = 10
"""Populations up to this many customers are solved exactly."""


@dataclass(frozen=True, slots=True)
class SharingShape:
    """Who waits how much for whom: slice and exponents of the module's formulas.

    Attributes:
        slice_s: ``q``, a time slice; 0 for none.
        own_time_exponent: ``p``, of the GPU time of the request that waits.
        own_sm_exponent: ``a``, of its share of busy SMs.
        neighbor_sm_exponent: ``g``, of the neighbor's share of busy SMs.
        dram_exponent: ``h``, of the neighbor's share of DRAM bandwidth ÷ its own.
    """

    slice_s: float = 0.0
    own_time_exponent: float = 1.0
    own_sm_exponent: float = 0.0
    neighbor_sm_exponent: float = 0.0
    dram_exponent: float = 0.0


PROCESSOR_SHARING = SharingShape()

SHARING_SHAPES = {
    SharingMode.TIME_SLICING: SharingShape(slice_s=0.0015),
    SharingMode.MPS: SharingShape(
        own_time_exponent=0.6,
        own_sm_exponent=0.25,
        neighbor_sm_exponent=1.25,
        dram_exponent=0.36,
    ),
    SharingMode.STREAMS: PROCESSOR_SHARING,
}
"""Chosen on half of the models recorded on an H200: see the documentation.

Streams were not measured and are taken as fair sharing.
"""

DEFAULT_CONTENTION_FACTORS = {
    SharingMode.TIME_SLICING: 0.78,
    SharingMode.MPS: 1.15,
    SharingMode.STREAMS: 1.0,
}
"""Used where nothing was calibrated: fitted on an H200, see the documentation."""

DEFAULT_RETENTION_MARGINS = {
    SharingMode.TIME_SLICING: 0.06,
    SharingMode.MPS: 0.06,
    SharingMode.STREAMS: 0.06,
}
"""What a predicted retention must have to spare over what was asked to be kept."""

HOST_CONTENTION_FACTOR = 1.0
"""On the host device processes share cores fairly; nothing needs fitting."""

_FIXED_POINT_TOLERANCE = 1e-10
_MAX_FIXED_POINT_STEPS = 10_000
_MIN_GPU_SHARE = 1e-9
_DRAM_OFFSET = 0.01
_TYPICAL_SM_SHARE = 2 / 3
_TYPICAL_DRAM_SHARE = 0.1
"""Where GPM gives none: two such models lose under MPS what processor sharing with the
factor that fits the sets recorded on an H200 (0.64) says."""


@dataclass(frozen=True, slots=True)
class CustomerClass:
    """One model as the network sees it, per request.

    Args:
        gpu_demand_s: GPU time of one request that has the GPU for itself, > 0.
        elsewhere_s: Time of one request outside the GPU, ≥ 0.
        num_customers: Requests executed at once, ≥ 1.
        sm_share: Share of the SMs that are busy while it is on the GPU, in (0, 1].
        dram_share: Share of the DRAM bandwidth that it uses then, 0–1.
    """

    gpu_demand_s: float
    elsewhere_s: float
    num_customers: int = 1
    sm_share: float = _TYPICAL_SM_SHARE
    dram_share: float = _TYPICAL_DRAM_SHARE

    def __post_init__(self) -> None:
        if not (
            self.gpu_demand_s > 0 and self.elsewhere_s >= 0 and self.num_customers >= 1
        ):
            raise InvalidInputError(
                "a customer class needs a GPU demand > 0 s, a time elsewhere ≥ 0 s and "
                f"at least one customer, got {self}"
            )

    def waiting_weight(self, shape: SharingShape) -> float:
        """Return ``v``: how much it waits for what is on the GPU."""
        return float(
            self.gpu_demand_s**shape.own_time_exponent
            * self.sm_share**shape.own_sm_exponent
            * (self.dram_share + _DRAM_OFFSET) ** -shape.dram_exponent
        )

    def pressure_weight(self, shape: SharingShape) -> float:
        """Return ``b``: how much it is waited for."""
        return float(
            self.gpu_demand_s ** (1 - shape.own_time_exponent)
            * self.sm_share**shape.neighbor_sm_exponent
            * (self.dram_share + _DRAM_OFFSET) ** shape.dram_exponent
        )

    def slice_s(self, shape: SharingShape) -> float:
        """Return ``min(q, D)``: what is waited for before it yields the GPU."""
        return min(shape.slice_s, self.gpu_demand_s)


def has_readings(record: ProfileRecord) -> bool:
    """Return whether a record has what the prediction needs."""
    return record.throughput_infer_per_sec is not None and (
        record.gpu_utilization_mean_percent is not None
        or record.gpu_utilization_percent is not None
    )


def customer_class(
    record: ProfileRecord,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> CustomerClass:
    """Return how the network sees the model of ``record``.

    The GPU's share of time is the mean utilization, or the highest where the
    profile has no mean (which predicts more loss). The time elsewhere is solved
    for, so that the model alone reproduces the measured rate. A profile without GPM
    readings counts as one with a typical use of SMs and memory.

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
        requests_per_sec,
        share,
        num_customers,
        contention_factor=contention_factor,
        shape=shape,
        sm_share=share_while_busy(record.sm_utilization_percent, share),
        dram_share=share_while_busy(record.dram_bandwidth_percent, share),
    )


def share_while_busy(percent: float | None, gpu_share: float) -> float | None:
    """Return a GPM reading as a share of the time that the GPU was busy, (0, 1]."""
    if percent is None:
        return None
    return min(1.0, max(percent / 100 / gpu_share, _MIN_GPU_SHARE))


def class_from_solo(
    requests_per_sec: float,
    gpu_share: float,
    num_customers: int = 1,
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    sm_share: float | None = None,
    dram_share: float | None = None,
) -> CustomerClass:
    """Return the customer class that alone yields the measured rate and GPU share.

    Where ``num_customers`` sharing the GPU among themselves could not even reach the
    measured rate (a contention factor above 1 and a busy GPU), no time is left
    elsewhere and the demand is lowered until they do.
    """
    demand_s = gpu_share / requests_per_sec
    sm = _TYPICAL_SM_SHARE if sm_share is None else sm_share
    dram = _TYPICAL_DRAM_SHARE if dram_share is None else dram_share
    if num_customers == 1:
        elsewhere_s = max(1 / requests_per_sec - demand_s, 0.0)
        return CustomerClass(
            1 / requests_per_sec - elsewhere_s, elsewhere_s, 1, sm, dram
        )
    trial = CustomerClass(demand_s, 0.0, num_customers, sm, dram)
    delay_s = trial.waiting_weight(shape) * trial.pressure_weight(shape)
    delay_s += trial.slice_s(shape)
    stretch = 1 + contention_factor * delay_s / demand_s * (num_customers - 1)
    if num_customers / (demand_s * stretch) <= requests_per_sec:
        return replace(trial, gpu_demand_s=num_customers / (requests_per_sec * stretch))
    low, high = 0.0, num_customers / requests_per_sec
    for _ in range(60):
        middle = (low + high) / 2
        found = rates(
            [replace(trial, elsewhere_s=middle)],
            contention_factor=contention_factor,
            shape=shape,
        )
        if found[0] > requests_per_sec:
            low = middle
        else:
            high = middle
    return replace(trial, elsewhere_s=(low + high) / 2)


def rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> tuple[float, ...]:
    """Return every class's requests per second when all share one GPU.

    Exact up to ``MAX_EXACT_CUSTOMERS`` customers, approximate beyond.
    """
    solve = (
        exact_rates
        if sum(one.num_customers for one in classes) <= MAX_EXACT_CUSTOMERS
        else approximate_rates
    )
    return solve(classes, contention_factor=contention_factor, shape=shape)


def exact_rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> tuple[float, ...]:
    """Return the rates by mean value analysis over all populations.

    Takes O(classes × Π (customers + 1)): under 0.1 ms for six models of one customer.
    """
    strides: list[int] = []
    num_populations = 1
    for one in classes:
        strides.append(num_populations)
        num_populations *= one.num_customers + 1
    pressure = [0.0] * num_populations
    slices_s = [0.0] * num_populations
    inputs = [
        (
            stride,
            one.num_customers + 1,
            one.gpu_demand_s,
            one.elsewhere_s,
            contention_factor * one.waiting_weight(shape),
            one.pressure_weight(shape),
            contention_factor * one.slice_s(shape),
        )
        for stride, one in zip(strides, classes, strict=True)
    ]
    for population in range(1, num_populations):
        total = total_slices_s = 0.0
        for stride, radix, demand_s, elsewhere_s, waiting, weight, slice_s in inputs:
            count = population // stride % radix
            if count:
                before = population - stride
                at_gpu_s = demand_s + waiting * pressure[before] + slices_s[before]
                queue = count * at_gpu_s / (elsewhere_s + at_gpu_s)
                total += weight * queue
                total_slices_s += slice_s * queue
        pressure[population] = total
        slices_s[population] = total_slices_s
    return tuple(
        (radix - 1)
        / (
            elsewhere_s
            + demand_s
            + waiting * pressure[-1 - stride]
            + slices_s[-1 - stride]
        )
        for stride, radix, demand_s, elsewhere_s, waiting, _, _ in inputs
    )


def approximate_rates(
    classes: Sequence[CustomerClass],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> tuple[float, ...]:
    """Return the rates by the Schweitzer–Bard fixed point, for any population."""
    waiting = [contention_factor * one.waiting_weight(shape) for one in classes]
    weights = [one.pressure_weight(shape) for one in classes]
    slices_s = [contention_factor * one.slice_s(shape) for one in classes]
    queues = [one.num_customers / 2 for one in classes]

    def at_gpu_s(index: int, pressure: float, slice_s: float) -> float:
        one = classes[index]
        own = queues[index] / one.num_customers
        return (
            one.gpu_demand_s
            + waiting[index] * (pressure - weights[index] * own)
            + (slice_s - slices_s[index] * own)
        )

    for _ in range(_MAX_FIXED_POINT_STEPS):
        totals = _dot(weights, queues), _dot(slices_s, queues)
        change = 0.0
        updated = []
        for index, (one, queue) in enumerate(zip(classes, queues, strict=True)):
            here_s = at_gpu_s(index, *totals)
            new = one.num_customers * here_s / (one.elsewhere_s + here_s)
            change = max(change, abs(new - queue))
            updated.append((new + queue) / 2)
        queues = updated
        if change < _FIXED_POINT_TOLERANCE:
            break
    totals = _dot(weights, queues), _dot(slices_s, queues)
    return tuple(
        one.num_customers / (one.elsewhere_s + at_gpu_s(index, *totals))
        for index, one in enumerate(classes)
    )


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, first, second))


def predict_retentions(
    records: Sequence[ProfileRecord],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> tuple[float, ...]:
    """Return each model's predicted throughput together ÷ alone, in order.

    Args:
        records: The solo profile of every model instance on the GPU; a model that
            runs there twice is given twice.
        contention_factor: Of the GPU type and sharing mode, ≥ 0.
        shape: Of the sharing mode.

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
        customer_class(records[0], contention_factor)  # complain if readings miss
        return (1.0,)
    classes = [customer_class(record, contention_factor, shape) for record in records]
    together = rates(classes, contention_factor=contention_factor, shape=shape)
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
