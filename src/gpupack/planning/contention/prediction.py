# Long because the formulas and what profiles say of their symbols stand together.
"""What co-location costs, predicted from solo profiles alone.

Every model is a class of customers in a closed queueing network with two
stations. A customer is one request that the server really works on. It spends

* the time ``Z`` elsewhere: in the client, on the CPU, in copies;
* then ``D`` seconds of GPU time, stretched by every other request there.

Both follow from the solo profile: ``D = U / X`` (GPU utilization ÷ requests per
second, the utilization law) and ``Z`` is what makes the model, alone, reproduce
the measured rate; for one customer ``Z = 1 / X − D``. A model has as many
customers as it executes at once: ``min(concurrency, model instances)``.

What a request of class j at the GPU adds to one of class i depends on the *way of
sharing*. By the arrival theorem of mean value analysis, over populations ``N``::

    R_i(N) = D_i + c · Σ_j W_ij · Q_j(N − e_i)        time at the GPU
    X_i(N) = N_i / (Z_i + R_i(N))                     requests per second
    Q_j(N) = X_j(N) · R_j(N)                          requests of j at the GPU

``c`` is the *contention factor*. ``W_ij`` of each way of sharing:

* *fair sharing*, ``D_i``: processor sharing, a network of product form, for which the
  recursion is exact.
* *time slicing*: slices go round among the processes that have work; before the first
  one a request waits for what is left of a neighbor's, and before each other one for a
  whole one, if the neighbor is there: see ``time_slices``. ``c W_ij Q_j`` is then at
  most one slice of a neighbor before each of one's own.
* *MPS*: kernels run side by side, and wait for room on the SMs. How many kernels a
  request has and how long they are, the kernel probe says: with ``e_i`` the delay of a
  request beside kernels that fill the GPU, ``h_j`` and ``t_i`` the waits of a spread
  and a single kernel beside a model while it is on the GPU, all in ms, and ``s_j`` the
  share of the SMs that it then keeps busy (GPM's SM utilization ÷ GPU utilization)::

      1 / W_ij = 1 / A_ij + 1 / B_ij
      A_ij = 9 · e_i^0.35 · D_i^0.45 · (t_i + 0.005)^−0.25 · h_j^0.65 · D_j^0.2
      B_ij = 13 · D_i · s_j^2.5

  Each of a request's kernels waits for those of the neighbor (``A``): less where they
  are few and long, more where the neighbor's are. A neighbor that keeps few SMs busy is
  waited for by few (``B``).
* *MPS, without the probe's readings*, less well, and *streams* of one process, whose
  kernels run side by side, too (the probe's readings made that no better)::

      D_i^0.6 · D_j^0.4 · s_i^0.25 · s_j^1.25 · ((d_j + ε) / (d_i + ε))^0.36

  with ``d`` the share of the DRAM bandwidth, ``ε`` a hundredth: long requests that
  move much memory tend to have long kernels.

The exponents were chosen on measured sets (see the documentation); calibrating a GPU
fits ``c`` alone.

Retention is ``X_i(N) ÷ X_i`` alone. A model that takes less traffic than it could is,
to its neighbors, one whose customers wait longer elsewhere; itself it serves its
traffic as long as it could, driven to its limit, reach that rate beside them. All
``W`` are positive, so adding a model never helps another. Equal
models are one class with the customers of all. Where there are more than a thousand
populations (ten different models of one customer have that many) the recursion is
replaced by the fixed point that takes a class's queue without one of its customers as
``(N_i − 1) / N_i`` of that with it: more pessimistic, by a point or two as a rule,
never more optimistic.

The customers and their ``W`` are in ``delays`` and ``time_slices``; the recursion, the
fixed point and models with part of their traffic in ``network``; here is what profiles
say of a customer.

Where it is said how many of the host's cores there are, they are a second station
(``host_station``). The PCIe bus is none.

References:
    Reiser and Lavenberg, "Mean-value analysis of closed multichain queuing
    networks", Journal of the ACM 27(2), 1980. Bard, "Some extensions to multiclass
    queueing network analysis", 1979; Schweitzer, "Approximate analysis of multiclass
    closed networks of queues", 1979. Baskett, Chandy, Muntz and Palacios, Journal of
    the ACM 22(2), 1975, for the product form of a station with state-dependent rates.
    Delays by pair of classes, as in the approximation of queues with unequal service
    times: Reiser, "A queueing network analysis of computer communication networks with
    window flow control", IEEE Transactions on Communications 27(8), 1979. Pressure
    and sensitivity read by a probe: Mars et al., "Bubble-Up", MICRO 2011.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.planning.contention.delays import (
    PROCESSOR_SHARING,
    SLICE_S,
    TYPICAL_DRAM_SHARE,
    TYPICAL_SM_SHARE,
    CustomerClass,
    ProbedShape,
    ProbeTimes,
    SharingShape,
)
from gpupack.planning.contention.host_station import (
    HostStation,
    held_up,
    host_class,
    traffic_of,
)
from gpupack.planning.contention.network import (
    classes_at_load,
    limits_beside,
    shares_of_traffic,
    shortened,
    slowed_down,
)
from gpupack.planning.contention.time_slices import TimeSlices
from gpupack.records.environment import SharingMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.profile import ProbeReadings, ProfileRecord

_SIDE_BY_SIDE = SharingShape(
    own_time_exponent=0.6,
    own_sm_exponent=0.25,
    neighbor_sm_exponent=1.25,
    dram_exponent=0.36,
)
SHARING_SHAPES = {
    SharingMode.TIME_SLICING: SharingShape(slices=TimeSlices()),
    SharingMode.MPS: replace(_SIDE_BY_SIDE, probed=ProbedShape()),
    SharingMode.STREAMS: _SIDE_BY_SIDE,
}
"""Chosen on half of the models recorded on an H200: see the documentation.

Exponents chosen for streams alone predict no better than those for MPS (7.5 and 7.6
points on the judged half).
"""

LAWS = {
    SharingMode.TIME_SLICING: 2,
    SharingMode.MPS: 1,
    SharingMode.STREAMS: 1,
}
"""The number of each, as calibrations hold it: their factors mean nothing with another.
"""
FORMER_SHAPES = {(SharingMode.TIME_SLICING, 1): SharingShape(slice_s=SLICE_S)}
"""What calibrations of former laws are used with, by way of sharing and number."""
FORMER_RETENTION_MARGINS = {(SharingMode.TIME_SLICING, 1): 0.06}
"""What a retention predicted by them must have to spare, where none was fitted."""

DEFAULT_CONTENTION_FACTORS = {
    SharingMode.TIME_SLICING: 1.0,
    SharingMode.MPS: 1.0,
    SharingMode.STREAMS: 1.21,
}
"""Used where nothing was calibrated: fitted on H200s, those of time slicing and MPS to
captured networks and networks that keep the GPU busy, as much to the ones as to the
others; see the documentation."""

DEFAULT_RETENTION_MARGINS = {
    SharingMode.TIME_SLICING: 0.06,
    SharingMode.MPS: 0.073,
    SharingMode.STREAMS: 0.101,
}
"""What a predicted retention must have to spare over what was asked to be kept."""

UNPROBED_MPS_MARGIN = 0.113
"""The same under MPS, where the kernel probe did not read every model."""

HOST_CONTENTION_FACTOR = 1.0
"""On the host device processes share cores fairly; nothing needs fitting."""

_MIN_GPU_SHARE = 1e-9
_MIN_SPREAD_WAIT_S = 0.1e-6
_MIN_REQUEST_DELAY_S = 2e-6


def probe_times(
    readings: ProbeReadings,
    *,
    throughput_infer_per_sec: float,
    batch_size: int,
    num_customers: int,
    gpu_share: float,
) -> ProbeTimes:
    """Return what the probe's readings beside a model say of one of its requests.

    Args:
        readings: What was read.
        throughput_infer_per_sec: Of the model without the probe.
        batch_size: Inputs per request.
        num_customers: Requests executed at once.
        gpu_share: Share of time that the model was on the GPU, 0–1.
    """
    alone = readings.throughput_alone_infer_per_sec or throughput_infer_per_sec
    delay_s = batch_size * num_customers / readings.throughput_infer_per_sec
    delay_s -= batch_size * num_customers / alone
    spread_s = 1e-6 * readings.spread_kernel.wait_us
    return ProbeTimes(
        request_delay_s=max(delay_s, _MIN_REQUEST_DELAY_S),
        spread_wait_s=max(spread_s, _MIN_SPREAD_WAIT_S) / gpu_share,
        single_wait_s=1e-6 * readings.single_kernel.wait_us / gpu_share,
    )


def has_readings(record: ProfileRecord) -> bool:
    """Return whether a record has what the prediction needs."""
    return record.throughput_infer_per_sec is not None and (
        record.gpu_utilization_mean_percent is not None
        or record.gpu_utilization_percent is not None
    )


def has_all_readings(records: Sequence[ProfileRecord]) -> bool:
    """Return whether every record has what the prediction needs."""
    return all(has_readings(record) for record in records)


def customer_classes(
    records: Sequence[ProfileRecord],
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> list[CustomerClass]:
    """Return how the network sees each model; see ``customer_class``."""
    rates = [record.requests_per_sec for record in records]
    in_flight = [record.load_point.in_flight for record in records]
    return [
        _customer_class(*one, contention_factor, shape)
        for one in zip(records, rates, in_flight, strict=True)
    ]


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
    (found,) = customer_classes([record], contention_factor, shape)
    return found


def _customer_class(
    record: ProfileRecord,
    requests_per_sec: float | None,
    in_flight: int,
    contention_factor: float,
    shape: SharingShape,
) -> CustomerClass:
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
    num_customers = min(in_flight, max(record.num_model_instances or 1, 1))
    share = max(busy_percent / 100, _MIN_GPU_SHARE)
    return class_from_solo(
        requests_per_sec,
        share,
        num_customers,
        contention_factor=contention_factor,
        shape=shape,
        sm_share=share_while_busy(record.sm_utilization_percent, share),
        dram_share=share_while_busy(record.dram_bandwidth_percent, share),
        probe=None
        if record.probe is None or record.throughput_infer_per_sec is None
        else probe_times(
            record.probe,
            throughput_infer_per_sec=record.throughput_infer_per_sec,
            batch_size=record.load_point.batch_size,
            num_customers=num_customers,
            gpu_share=share,
        ),
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
    probe: ProbeTimes | None = None,
) -> CustomerClass:
    """Return the customer class that alone yields the measured rate and GPU share.

    Where ``num_customers`` sharing the GPU among themselves could not even reach the
    measured rate (a contention factor above 1 and a busy GPU), no time is left
    elsewhere and the demand is lowered until they do.

    Raises:
        InvalidInputError: If there is no rate, no GPU share or no customer.
    """
    if not (requests_per_sec > 0 and gpu_share > 0 and num_customers >= 1):
        raise InvalidInputError(
            "a model that shares a GPU needs a rate > 0 requests/s, a share of the "
            f"GPU's time > 0 and at least one customer, got {requests_per_sec}, "
            f"{gpu_share} and {num_customers}"
        )
    demand_s = gpu_share / requests_per_sec
    sm = TYPICAL_SM_SHARE if sm_share is None else sm_share
    dram = TYPICAL_DRAM_SHARE if dram_share is None else dram_share
    if num_customers == 1:
        elsewhere_s = max(1 / requests_per_sec - demand_s, 0.0)
        return CustomerClass(
            1 / requests_per_sec - elsewhere_s, elsewhere_s, 1, sm, dram, probe
        )
    trial = CustomerClass(demand_s, 0.0, num_customers, sm, dram, probe)
    busiest = shortened(
        trial, requests_per_sec, contention_factor=contention_factor, shape=shape
    )
    if busiest is not None:
        return busiest
    return slowed_down(
        trial, requests_per_sec, contention_factor=contention_factor, shape=shape
    )


class EqualInstances:
    """Instances, with those told apart that differ in record or traffic.

    Equal ones keep the same, and are one class of customers: so a prediction takes
    time by how many differ, not by how many there are.

    Attributes:
        records: Of each kind.
        loads: Traffic ÷ throughput alone of each kind, 0–1.
    """

    def __init__(self) -> None:
        self.records: list[ProfileRecord] = []
        self.loads: list[float] = []
        self._known: dict[tuple[int, float], int] = {}

    def add(
        self, records: Sequence[ProfileRecord], loads: Sequence[float] | None = None
    ) -> list[int]:
        """Return the kind of each instance; a kind is an index into the attributes.

        Args:
            records: Of every instance.
            loads: Of every instance; 1 if left out.
        """
        kinds = []
        for record, load in zip(records, loads or [1.0] * len(records), strict=True):
            # By identity: to compare the contents of records takes longer than this
            # saves, and the instances of a placement share theirs.
            key = id(record), load
            if key not in self._known:
                self._known[key] = len(self.records)
                self.records.append(record)
                self.loads.append(load)
            kinds.append(self._known[key])
        return kinds


def predict_retentions(
    records: Sequence[ProfileRecord],
    *,
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
    loads: Sequence[float] | None = None,
    host_cores: float | None = None,
) -> tuple[float, ...]:
    """Return each model's predicted throughput together ÷ alone, in order.

    Of a model that takes less traffic than it could, the share of that traffic which it
    serves: all of it as long as it could reach that rate beside neighbors who take
    theirs.

    Args:
        records: The solo profile of every model instance on the GPU; a model that
            runs there twice is given twice.
        contention_factor: Of the GPU type and sharing mode, ≥ 0.
        shape: Of the sharing mode.
        loads: Traffic ÷ throughput alone of every instance, 0–1; 1 if left out.
        host_cores: Of the host, for all of them; None where they do not run out.

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
    kinds = EqualInstances()
    kind_of_each = kinds.add(records, loads)
    classes = customer_classes(kinds.records, contention_factor, shape)
    alone = [record.requests_per_sec or 0.0 for record in kinds.records]
    copies = list(Counter(kind_of_each).values())
    limits = limits_beside(
        classes,
        classes_at_load(
            classes,
            alone,
            kinds.loads,
            contention_factor=contention_factor,
            shape=shape,
        ),
        contention_factor=contention_factor,
        shape=shape,
        copies=copies,
    )
    if host_cores is not None:
        on_host = [host_class(record) for record in kinds.records]
        delays_s = HostStation(host_cores).delays_s(
            on_host, traffic_of(alone, kinds.loads), copies
        )
        limits = held_up(
            limits, on_host, delays_s, [one.gpu_demand_s for one in classes]
        )
    kept = shares_of_traffic(
        [limit / rate for limit, rate in zip(limits, alone, strict=True)], kinds.loads
    )
    return tuple([kept[kind] for kind in kind_of_each])
