"""Verify the GPUs of a placement where ``gpupack deploy`` put them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.profiling import InputOptions, TritonServer, open_device
from gpupack.quoting import quoted
from gpupack.records.gpu import DeviceKind
from gpupack.store import open_verifications, read_deployment, record_line
from gpupack.verifying.finished import Circumstances, device_identity, read_finished
from gpupack.verifying.gpu_run import run_deployed_gpu
from gpupack.verifying.verdict import judge_gpu, undecided_places

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from gpupack.files import AnyPath
    from gpupack.profiling import Device, MeasureOptions
    from gpupack.records.placement import GpuPlacement, PlacementRecord
    from gpupack.records.request.arrivals import Arrivals
    from gpupack.records.running.deployment import DeploymentRecord
    from gpupack.records.running.verification import GpuVerification
    from gpupack.verifying.round_options import RoundOptions

_HOST = "127.0.0.1"
_HOST_DEVICE = "host"


def verify_deployment(
    placement: PlacementRecord,
    gpus: Sequence[GpuPlacement],
    deployment: AnyPath,
    *,
    gpu: int | str | None,
    store: Path | str | None,
    tolerance: float,
    options: MeasureOptions | None,
    rounds: RoundOptions,
    inputs: InputOptions | None,
    arrivals: Arrivals,
    progress: Callable[[str], None] | None,
    on_gpu: Callable[[GpuVerification], None] | None,
) -> tuple[GpuVerification, ...]:
    """Measure the models of GPUs on the servers that run them, and judge promises.

    Args:
        placement: What was promised.
        gpus: Of the placement; the others are left alone.
        deployment: The folder that ``deploy`` wrote, whose servers run on this host.
        gpu: The GPU to read beside the measurements, for all of them; by default the
            one that the deployment names.
        store: As for ``verify``, and so the rest.
        tolerance: Of promises.
        options: As they were given.
        rounds: Until when, and how well to measure.
        inputs: Where requests' data come from.
        arrivals: How requests of planned traffic arrive.
        progress: Told what is being done.
        on_gpu: Told each verdict as it comes.

    Raises:
        StoreError: If the folder holds no deployment, or the store cannot be used.
        InvalidInputError: If the deployment does not say where its servers answer, or
            has none for one of the GPUs.
        DeviceError: If a GPU cannot be read.
    """
    record = read_deployment(deployment)
    urls = {one.gpu_index: _urls(record, one.gpu_index) for one in gpus}
    for index, of_gpu in urls.items():
        if not of_gpu:
            raise InvalidInputError(
                f"{quoted(str(deployment))} says of no server on GPU {index} where it "
                "answers: verify with --deployment what was written for triton or "
                "compose, of this placement"
            )
    given = inputs or InputOptions()
    with ExitStack() as stack:
        file = stack.enter_context(open_verifications(store)) if store else None
        done = read_finished(store) if store is not None else {}
        servers: dict[str, TritonServer] = {}
        results = []
        for one in gpus:
            device = _device(record, one, gpu)
            where = ", ".join(sorted(set(urls[one.gpu_index].values())))
            digest = Circumstances(
                device=device_identity(device),
                server=f"deployed on {where}",
                inputs=given,
                options=options,
                precision=rounds.precision,
                max_seconds=rounds.max_seconds,
                arrivals=arrivals,
            ).digest(placement, one)
            if digest in done:
                result = judge_gpu(
                    placement,
                    one,
                    done[digest].measurements,
                    digest=digest,
                    tolerance=tolerance,
                    warnings=done[digest].warnings,
                )
            else:
                for url in urls[one.gpu_index].values():
                    if url not in servers:
                        servers[url] = stack.enter_context(TritonServer(url))
                run = run_deployed_gpu(
                    {name: servers[url] for name, url in urls[one.gpu_index].items()},
                    device,
                    one,
                    sharing_mode=placement.sharing_mode,
                    inputs=given,
                    options=rounds,
                    find_undecided=undecided_places(placement, one, tolerance),
                    arrivals=arrivals,
                    demand=placement.served_infer_per_sec,
                    say=progress or (lambda text: None),
                )
                result = judge_gpu(
                    placement,
                    one,
                    run.measurements,
                    digest=digest,
                    tolerance=tolerance,
                    failures=run.failures,
                    restarted=run.restarted,
                )
                if file is not None:
                    file.append(record_line(result))
            results.append(result)
            if on_gpu is not None:
                on_gpu(result)
        return tuple(results)


def _urls(record: DeploymentRecord, gpu_index: int) -> Mapping[str, str]:
    """Return where each model of a GPU is served."""
    return {
        model.name: url
        for server in record.servers
        if server.gpu_index == gpu_index and (url := server.url(_HOST)) is not None
        for model in server.models
        if not model.is_helper
    }


def _device(
    record: DeploymentRecord, placed: GpuPlacement, gpu: int | str | None
) -> Device:
    if gpu is not None:
        return open_device(gpu)
    if placed.gpu_type.kind is DeviceKind.HOST:
        return open_device(_HOST_DEVICE)
    uuids = {
        server.gpu_uuid
        for server in record.servers
        if server.gpu_index == placed.gpu_index
    }
    return open_device(uuids.pop() or placed.gpu_index)
