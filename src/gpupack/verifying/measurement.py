"""One co-located measurement on a server that has the models loaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import gpupack
from gpupack.profiling import (
    CLIENT_NAME,
    ClockReadings,
    InputOptions,
    MeasureOptions,
    ModelLoad,
    count_schedule,
    make_request_inputs,
    measure_together,
    percentiles_with_intervals,
)
from gpupack.records.colocation import CoLocatedModel, CoLocation, RoundReading
from gpupack.records.environment import Environment
from gpupack.records.request.arrivals import POISSON, Arrivals
from gpupack.verifying.paired import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.profiling import (
        Device,
        KernelProbe,
        LoadProcess,
        MeasuredLoad,
        Measurement,
        TritonServer,
    )
    from gpupack.records.environment import SharingMode
    from gpupack.records.profile import LoadPoint, OpenLoop

_MAXIMA = (
    "gpu_utilization_percent",
    "memory_utilization_percent",
    "memory_used_bytes",
)
_MEANS = (
    "gpu_utilization_mean_percent",
    "memory_utilization_mean_percent",
    "sm_utilization_percent",
    "sm_occupancy_percent",
    "dram_bandwidth_percent",
    "tensor_activity_percent",
    "power_mean_watts",
)


def measure_set(
    server: TritonServer,
    models: Sequence[tuple[str, LoadPoint]],
    *,
    device: Device,
    sharing_mode: SharingMode | None,
    label: str = "",
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: MeasureOptions | None = None,
    server_pid: int | None = None,
    processes: Mapping[str, LoadProcess] | None = None,
    offered_infer_per_sec: Sequence[float | None] | None = None,
    inputs: InputOptions | None = None,
    probe: KernelProbe | None = None,
    servers: Mapping[str, TritonServer] | None = None,
    arrivals: Arrivals | None = None,
) -> CoLocation:
    """Drive loaded models at the same time and return what each of them reached.

    Args:
        server: Has every one of the models loaded.
        models: Names and load points; a name may occur more than once.
        device: Read beside the measurement.
        sharing_mode: How the models' processes share the device.
        label: Kept in the record.
        shapes: Sizes for inputs with dynamic dimensions; a shorter ``inputs``.
        options: How well to measure.
        server_pid: The server's process, for its CPU share.
        processes: Client processes to use, by model; by default new ones.
        offered_infer_per_sec: The rate at which each of ``models`` is sent requests;
            None drives it as fast as it answers.
        inputs: Where requests' data come from.
        probe: Run beside a model that is alone.
        servers: By model, another server that has it loaded.
        arrivals: How requests arrive that are sent at a rate; Poisson if None.

    Raises:
        LoadPointError: A model failed; says which.
    """
    loads = model_loads(
        server,
        models,
        label=label,
        offered_infer_per_sec=offered_infer_per_sec,
        inputs=inputs or InputOptions(shapes=shapes or {}),
        servers=servers,
        arrivals=None if arrivals is None else [arrivals] * len(models),
    )
    measurement = measure_together(
        server,
        loads,
        device=device,
        options=options,
        server_pid=server_pid,
        processes=[processes[name] for name, _ in models] if processes else None,
        probe=probe,
    )
    return colocation_record(
        server, [Block(0, measurement)], device, sharing_mode, label=label
    )


def model_loads(
    server: TritonServer,
    models: Sequence[tuple[str, LoadPoint]],
    *,
    label: str,
    offered_infer_per_sec: Sequence[float | None] | None,
    inputs: InputOptions,
    servers: Mapping[str, TritonServer] | None,
    arrivals: Sequence[Arrivals] | None,
) -> list[ModelLoad]:
    """Return what each model of a set is given; arguments as of ``measure_set``.

    There are arrivals for each.
    """
    loads: list[ModelLoad] = []
    rates = offered_infer_per_sec or [None] * len(models)
    each = arrivals or [POISSON] * len(models)
    for (name, load_point), rate, own_arrivals in zip(models, rates, each, strict=True):
        own = (servers or {}).get(name, server)
        signature = inputs.with_batch_dim(own.signature(name))
        tensors = make_request_inputs(inputs, signature, load_point.batch_size)
        loads.append(
            ModelLoad(
                signature,
                load_point,
                tensors,
                rate,
                own,
                arrivals=own_arrivals,
                # Neighbors, and replicas, are not in step.
                seed=f"{inputs.seed}/{label}/{len(loads)}",
                sequence_length=inputs.sequence_length,
            )
        )
    return loads


@dataclass(frozen=True)
class Block:
    """One measurement of several that together say what a set of models reaches.

    Attributes:
        round_index: Of the round that it was made in.
        measurement: Of the same models in the same order as the others.
    """

    round_index: int
    measurement: Measurement


def colocation_record(
    server: TritonServer,
    blocks: Sequence[Block],
    device: Device,
    sharing_mode: SharingMode | None,
    *,
    label: str,
    precision: float | None = None,
) -> CoLocation:
    """Return what blocks of one set of models say together.

    Rates and means are weighted by time, maxima are the highest, percentiles those of
    all requests.

    Args:
        server: Any of the servers, for its version.
        blocks: At least one.
        device: What was read beside them.
        sharing_mode: How the models' processes share it.
        label: Kept in the record.
        precision: The half-width of a throughput's interval ÷ throughput from which it
            counts as settled, where there were several rounds; of one, the measurement
            says it.
    """
    measurements = [one.measurement for one in blocks]
    server_name, server_version = server.version()
    first = measurements[0]
    held_back = ClockReadings.pooled(
        [(one.duration_s, one.readings.clocks) for one in measurements]
    ).in_words()
    num_replicas = Counter(load.load.signature.name for load in first.loads)
    missing = {
        {"memory_used_bytes": "gpu_memory_used_bytes"}.get(name, name): reason
        for name, reason in first.readings.missing.items()
        if name != "energy_joules"
    }
    values = {
        {"memory_used_bytes": "gpu_memory_used_bytes"}.get(name, name): value
        for name in (*_MAXIMA, *_MEANS)
        if (value := _pooled_reading(measurements, name)) is not None
    }
    return CoLocation.with_reason(
        "not measured",
        label=label,
        models=tuple(
            _model(
                [
                    _BlockLoad(
                        one.round_index,
                        one.measurement.duration_s,
                        one.measurement.loads[index],
                    )
                    for one in blocks
                ],
                num_replicas[load.load.signature.name],
                precision,
            )
            for index, load in enumerate(first.loads)
        ),
        duration_s=sum(one.duration_s for one in measurements),
        gpu_type=device.gpu_type,
        environment=Environment.model_validate(
            {
                "source": "gpupack verify",
                "measured_at": datetime.now(UTC),
                "gpupack_version": gpupack.__version__,
                "server_name": server_name,
                "server_version": server_version,
                "protocol": first.loads[0].protocol,
                "client_name": CLIENT_NAME,
                "client_version": gpupack.__version__,
                "notes": tuple(
                    dict.fromkeys(
                        [
                            *([held_back] if held_back else []),
                            *(note for one in measurements for note in one.notes),
                        ]
                    )
                ),
            }
            | device.environment_fields()
            # A private MPS daemon is known here, not to the device.
            | {"sharing_mode": sharing_mode}
        ),
        **values,
        server_cpu_percent=_mean(
            [(one.duration_s, one.server_cpu_percent) for one in measurements]
        ),
        probe=next((one.probe for one in measurements if one.probe), None),
        missing={name: why for name, why in missing.items() if name not in values},
    )


def _pooled_reading(measurements: Sequence[Measurement], name: str) -> float | None:
    read = [
        (one.duration_s, value)
        for one in measurements
        if (value := getattr(one.readings, name)) is not None
    ]
    if not read:
        return None
    return max(value for _, value in read) if name in _MAXIMA else _mean(read)


def _mean(weighted: Sequence[tuple[float, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in weighted if value is not None]
    total = sum(weight for weight, _ in known)
    if not total:
        return None
    return sum(weight * value for weight, value in known) / total


class _BlockLoad(NamedTuple):
    """One model's part of one block."""

    round_index: int
    duration_s: float
    load: MeasuredLoad


def _model(
    blocks: Sequence[_BlockLoad], num_replicas: int, precision: float | None
) -> CoLocatedModel:
    loads = [one.load for one in blocks]
    first = loads[0]
    latencies = np.concatenate([one.latencies_us for one in loads])
    total_s = sum(one.duration_s for one in blocks)
    limited_s = sum(one.duration_s for one in blocks if one.load.is_client_limited)
    known_limits = [one.is_client_limited for one in loads]
    open_loop = _pooled_schedule(blocks)
    rounds = tuple(
        RoundReading(
            round_index=one.round_index,
            throughput_infer_per_sec=one.load.throughput_infer_per_sec or 0.0,
            duration_s=one.duration_s,
            num_requests=len(one.load.latencies_us),
        )
        for one in blocks
    )
    rate = _mean([(one.duration_s, one.throughput_infer_per_sec) for one in rounds])
    ratio = first.ci_ratio
    is_stable = first.verdict.is_stable
    if precision is not None:
        interval = mean_interval([one.throughput_infer_per_sec for one in rounds])
        if interval is not None and interval.value > 0:
            ratio = interval.half_width / interval.value
        is_stable = ratio is not None and ratio <= precision
    is_limited = None if None in known_limits else limited_s > total_s / 2
    if open_loop is not None:
        is_limited = not open_loop.is_sent
        is_stable = open_loop.is_sent and open_loop.is_kept_up
        if is_stable:
            # Where all in all it kept up, a block that did not was chance.
            rate = open_loop.asked_requests_per_sec * first.load.load_point.batch_size
    return CoLocatedModel(
        model_name=first.load.signature.name,
        load_point=first.load.load_point,
        offered_infer_per_sec=first.load.offered_infer_per_sec,
        throughput_infer_per_sec=rate or None,
        throughput_ci_ratio=None if ratio is None else min(ratio, 1.0),
        latency_p95_us=float(np.percentile(latencies, 95)) if len(latencies) else None,
        latency_mean_us=float(latencies.mean()) if len(latencies) else None,
        latency_percentiles=percentiles_with_intervals(latencies),
        open_loop=open_loop,
        is_stable=is_stable,
        is_client_limited=is_limited,
        client_cpu_percent=_mean(
            [(one.duration_s, one.load.client_cpu_percent) for one in blocks]
        ),
        # Replicas share the instances of one model.
        num_model_instances=max(
            1, first.load.signature.num_model_instances // num_replicas
        ),
        rounds=rounds if precision is not None else (),
    )


def _pooled_schedule(blocks: Sequence[_BlockLoad]) -> OpenLoop | None:
    """Return what came of the schedules of all blocks together."""
    first = blocks[0].load.open_loop
    if first is None or len(blocks) == 1:
        return first
    told = [(one, found) for one in blocks if (found := one.load.open_loop) is not None]
    total_s = sum(one.duration_s for one, _ in told)
    num_due = sum(
        one.duration_s * found.offered_requests_per_sec for one, found in told
    )
    num_sent = sum(one.duration_s * found.sent_requests_per_sec for one, found in told)
    num_held = sum(
        one.duration_s * found.held_back_requests_per_sec for one, found in told
    )
    num_ended = sum(len(one.load.latencies_us) for one, _ in told)
    late_us = [found.late_p99_us for _, found in told if found.late_p99_us is not None]
    return count_schedule(
        first,
        num_due=num_due,
        num_sent=num_sent,
        num_held=num_held,
        num_ended=num_ended,
        duration_s=total_s,
        late_share=_mean([(one.duration_s, found.late_share) for one, found in told])
        or 0.0,
        late_p99_us=max(late_us, default=None),
    )
