"""One co-located measurement on a server that has the models loaded."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

import gpupack
from gpupack.profiling import (
    CLIENT_NAME,
    InputOptions,
    MeasureOptions,
    ModelLoad,
    make_request_inputs,
    measure_together,
    percentiles_with_intervals,
)
from gpupack.records.colocation import CoLocatedModel, CoLocation
from gpupack.records.environment import Environment
from gpupack.records.request.arrivals import POISSON, Arrivals

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
    from gpupack.records.profile import LoadPoint


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
    given = inputs or InputOptions(shapes=shapes or {})
    loads: list[ModelLoad] = []
    rates = offered_infer_per_sec or [None] * len(models)
    for (name, load_point), rate in zip(models, rates, strict=True):
        own = (servers or {}).get(name, server)
        signature = given.with_batch_dim(own.signature(name))
        tensors = make_request_inputs(given, signature, load_point.batch_size)
        loads.append(
            ModelLoad(
                signature,
                load_point,
                tensors,
                rate,
                own,
                arrivals=arrivals or POISSON,
                # Neighbors, and replicas, are not in step.
                seed=f"{given.seed}/{label}/{len(loads)}",
                sequence_length=given.sequence_length,
            )
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
    return _record(server, measurement, device, sharing_mode, label)


def _record(
    server: TritonServer,
    measurement: Measurement,
    device: Device,
    sharing_mode: SharingMode | None,
    label: str,
) -> CoLocation:
    readings = measurement.readings
    server_name, server_version = server.version()
    num_replicas = Counter(load.load.signature.name for load in measurement.loads)
    missing = {
        {"memory_used_bytes": "gpu_memory_used_bytes"}.get(name, name): reason
        for name, reason in readings.missing.items()
        if name != "energy_joules"
    }
    return CoLocation.with_reason(
        "not measured",
        label=label,
        models=tuple(
            _model(load, num_replicas[load.load.signature.name])
            for load in measurement.loads
        ),
        duration_s=measurement.duration_s,
        gpu_type=device.gpu_type,
        environment=Environment.model_validate(
            {
                "source": "gpupack verify",
                "measured_at": datetime.now(UTC),
                "gpupack_version": gpupack.__version__,
                "server_name": server_name,
                "server_version": server_version,
                "protocol": measurement.loads[0].protocol,
                "client_name": CLIENT_NAME,
                "client_version": gpupack.__version__,
            }
            | device.environment_fields()
            # A private MPS daemon is known here, not to the device.
            | {"sharing_mode": sharing_mode}
        ),
        gpu_utilization_percent=readings.gpu_utilization_percent,
        gpu_utilization_mean_percent=readings.gpu_utilization_mean_percent,
        memory_utilization_percent=readings.memory_utilization_percent,
        memory_utilization_mean_percent=readings.memory_utilization_mean_percent,
        gpu_memory_used_bytes=readings.memory_used_bytes,
        sm_utilization_percent=readings.sm_utilization_percent,
        sm_occupancy_percent=readings.sm_occupancy_percent,
        dram_bandwidth_percent=readings.dram_bandwidth_percent,
        tensor_activity_percent=readings.tensor_activity_percent,
        power_mean_watts=readings.power_mean_watts,
        server_cpu_percent=measurement.server_cpu_percent,
        probe=measurement.probe,
        missing=missing,
    )


def _model(load: MeasuredLoad, num_replicas: int) -> CoLocatedModel:
    latencies = load.latencies_us
    return CoLocatedModel(
        model_name=load.load.signature.name,
        load_point=load.load.load_point,
        offered_infer_per_sec=load.load.offered_infer_per_sec,
        throughput_infer_per_sec=load.throughput_infer_per_sec,
        throughput_ci_ratio=(
            None if load.ci_ratio is None else min(load.ci_ratio, 1.0)
        ),
        latency_p95_us=float(np.percentile(latencies, 95)) if len(latencies) else None,
        latency_mean_us=float(latencies.mean()) if len(latencies) else None,
        latency_percentiles=percentiles_with_intervals(latencies),
        open_loop=load.open_loop,
        is_stable=load.verdict.is_stable,
        is_client_limited=load.is_client_limited,
        client_cpu_percent=load.client_cpu_percent,
        # Replicas share the instances of one model.
        num_model_instances=max(
            1, load.load.signature.num_model_instances // num_replicas
        ),
    )
