"""Run a placement and see whether it holds: ``verify()``."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpupack.deploy.measurement import measure_set
from gpupack.deploy.verdict import driven_assignments, judge_gpu
from gpupack.errors import InvalidInputError, ServerError, UnknownNameError
from gpupack.profiling.embedded import EmbeddedServer
from gpupack.profiling.mps import MpsDaemon
from gpupack.profiling.session import ServerSession
from gpupack.profiling.settling import wait_until_settled
from gpupack.records.environment import SharingMode
from gpupack.store import append_verification, read_verifications
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpupack.profiling.measure import MeasureOptions
    from gpupack.records.colocation import CoLocation
    from gpupack.records.placement import GpuPlacement, PlacementRecord
    from gpupack.records.profile import LoadPoint
    from gpupack.records.verification import GpuVerification

DEFAULT_TOLERANCE = 0.1
"""A promise is broken when this share of a throughput is missing."""


class Member(NamedTuple):
    """One model instance of a GPU, and how it is driven."""

    model_name: str
    load_point: LoadPoint
    offered_infer_per_sec: float | None
    """The traffic planned for it; None drives it as fast as it answers."""


@dataclass(frozen=True)
class Verification:
    """Every GPU that was run, and whether all promises were kept."""

    gpus: tuple[GpuVerification, ...]

    @property
    def is_kept(self) -> bool:
        """Whether every promise of every GPU was kept."""
        return all(gpu.is_kept for gpu in self.gpus)

    def __str__(self) -> str:
        """Return a readable table, one line per model instance."""
        from gpupack.report.verification import format_verification

        return format_verification(self.gpus)


def verify(
    placement: PlacementRecord,
    *,
    model_repository: Path | str | None = None,
    server: EmbeddedServer | str | None = None,
    gpu_indices: Sequence[int] | None = None,
    gpu: int | str | None = None,
    store: Path | str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    strict: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: MeasureOptions | None = None,
    server_python: Path | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Run the GPUs of a placement, one after the other, and judge its promises.

    For each GPU: its models are loaded, measured one by one and then all together at
    their load points, and unloaded. An instance that was placed for a demand is sent
    the traffic planned for it, evenly spaced; others as much as they answer.

    Args:
        placement: What was promised.
        model_repository: Folder of models; an embedded server is started on it.
        server: A server that has no models loaded, or its URL, instead.
        gpu_indices: GPUs of the placement to run; all of them if None.
        gpu: The GPU of this machine to run them on, as for ``profile``.
        store: File of results; GPUs that are in it are not run again.
        tolerance: Share of a promised throughput that may be missing, and points of
            retention; 0.1 allows for the noise of a shared host.
        strict: Refuse to measure beside other processes on the GPU.
        shapes: Sizes for inputs with dynamic dimensions.
        options: How well to measure.
        server_python: The Python that models run in; for the embedded server.
        progress: Told what is being done.

    Raises:
        UnknownNameError: A GPU index that the placement does not have.
        InvalidInputError: Models missing in the repository, a GPU too small, or
            foreign processes with ``strict``; before anything is loaded.
        ServerError: The server cannot be had, or refuses a model.
    """
    if not 0 <= tolerance < 1:
        raise InvalidInputError(
            f"tolerance is {tolerance:g}; it must be at least 0 and below 1, such as "
            "0.1"
        )
    chosen = _chosen_gpus(placement, gpu_indices)
    if (model_repository is None) == (server is None):
        raise InvalidInputError(
            "verify() needs either model_repository=, for an embedded server, or "
            "server=, a running one"
        )
    names = {name for one in chosen for name in one.models}
    if model_repository is not None:
        _require_models(names, _folder_models(Path(model_repository)), model_repository)
    done = {one.placed: one for one in read_verifications(store)} if store else {}
    say = progress or (lambda text: None)
    results = []
    with ExitStack() as stack:
        if all(_digest(placement, one) in done for one in chosen):
            return Verification(tuple(done[_digest(placement, one)] for one in chosen))
        session, notes = _open(
            stack, placement, model_repository, server, gpu, server_python
        )
        _require_models(
            names, {model.name for model in session.server.repository()}, "the server"
        )
        notes += _check_device(session, placement, chosen, strict=strict)
        for one in chosen:
            digest = _digest(placement, one)
            if digest not in done:
                say(f"GPU {one.gpu_index}: {', '.join(one.models)}")
                measured = _run_gpu(session, placement, one, shapes, options)
                result = judge_gpu(
                    placement,
                    one,
                    measured,
                    digest=digest,
                    tolerance=tolerance,
                    warnings=notes,
                )
                if store is not None:
                    append_verification(store, result)
                done[digest] = result
            results.append(done[digest])
    return Verification(tuple(results))


def _chosen_gpus(
    placement: PlacementRecord, gpu_indices: Sequence[int] | None
) -> tuple[GpuPlacement, ...]:
    known = {gpu.gpu_index: gpu for gpu in placement.gpus}
    unknown = sorted(set(gpu_indices or ()) - set(known))
    if unknown:
        raise UnknownNameError(
            f"the placement has no GPU {', '.join(map(str, unknown))}; it has GPUs "
            f"{', '.join(map(str, known))}"
        )
    return tuple(
        gpu
        for index, gpu in known.items()
        if gpu_indices is None or index in gpu_indices
    )


def _folder_models(repository: Path) -> set[str]:
    if not repository.is_dir():
        raise InvalidInputError(f"no model repository at {repository}")
    return {path.parent.name for path in repository.glob("*/config.pbtxt")}


def _require_models(wanted: set[str], known: set[str], where: Path | str) -> None:
    missing = sorted(wanted - known)
    if missing:
        raise InvalidInputError(
            f"the placement has models that are not in {where}: {', '.join(missing)}; "
            f"it has {', '.join(sorted(known)) or 'none'}"
        )


def _open(
    stack: ExitStack,
    placement: PlacementRecord,
    model_repository: Path | str | None,
    server: EmbeddedServer | str | None,
    gpu: int | str | None,
    server_python: Path | str | None,
) -> tuple[ServerSession, tuple[str, ...]]:
    mps = placement.sharing_mode is SharingMode.MPS
    notes: tuple[str, ...] = ()
    if model_repository is not None:
        daemon = stack.enter_context(MpsDaemon()) if mps else None
        server = EmbeddedServer(
            model_repository,
            python=server_python,
            environment=daemon.environment if daemon else None,
        )
    elif mps:
        notes = (
            "the placement counts on MPS; whether the given server's models share the "
            "GPU through it cannot be seen from here",
        )
    assert server is not None
    return stack.enter_context(ServerSession(server, gpu=gpu)), notes


def _check_device(
    session: ServerSession,
    placement: PlacementRecord,
    gpus: Sequence[GpuPlacement],
    *,
    strict: bool,
) -> tuple[str, ...]:
    device = session.device
    there = device.gpu_type
    for one in gpus:
        if there.memory_bytes is not None and one.memory_bytes > there.memory_bytes:
            raise InvalidInputError(
                f"GPU {one.gpu_index} of the placement needs "
                f"{mib_from_bytes(one.memory_bytes):,.0f} MiB, but {there.name} has "
                f"{mib_from_bytes(there.memory_bytes):,.0f} MiB; verify on "
                f"{one.gpu_type.name}, or place for {there.name}"
            )
    notes: list[str] = []
    measured_on = {record.gpu_type.name for record in placement.profiles}
    if measured_on and there.name not in measured_on:
        profiled = ", ".join(sorted(measured_on))
        notes.append(f"verified on {there.name}, but profiled on {profiled}")
    foreign = device.foreign_processes((*session.own_pids, os.getpid()))
    if foreign:
        text = f"other processes are on the GPU: {'; '.join(foreign)}"
        if strict:
            raise InvalidInputError(f"{text}; end them, or measure without strict")
        notes.append(text)
    return tuple(notes)


def _run_gpu(
    session: ServerSession,
    placement: PlacementRecord,
    gpu: GpuPlacement,
    shapes: Mapping[str, Sequence[int]] | None,
    options: MeasureOptions | None,
) -> tuple[CoLocation, ...]:
    """Load exactly this GPU's models, measure each and all, unload them.

    Replicas of one model on one GPU are instances of it, each with its own client.
    """
    members = [
        Member(one.model_name, one.load_point, one.served_infer_per_sec)
        for one in driven_assignments(gpu)
    ]
    names = sorted(set(gpu.models))
    loaded: list[str] = []

    def load(name: str) -> None:
        session.server.load(name)
        loaded.append(name)

    def measure(label: str, some: Sequence[Member]) -> CoLocation:
        return measure_set(
            session.server,
            [(one.model_name, one.load_point) for one in some],
            offered_infer_per_sec=[one.offered_infer_per_sec for one in some],
            device=session.device,
            sharing_mode=placement.sharing_mode,
            label=label,
            shapes=shapes,
            options=options,
            server_pid=session.server_pid,
        )

    try:
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(load, names))
        alone = [measure("alone", [member]) for member in dict.fromkeys(members)]
        for name, num_replicas in Counter(gpu.models).items():
            if num_replicas > 1:
                session.server.multiply_instances(name, num_replicas)
        together = [measure("together", members)] if len(members) > 1 else []
        return (*alone, *together)
    except ServerError as err:
        raise ServerError(
            session.explain(f"GPU {gpu.gpu_index} of the placement: {err}")
        ) from err
    finally:
        if session.embedded is None or session.embedded.is_running:
            for name in loaded:
                session.server.unload(name)
            wait_until_settled(session.device.memory_used_bytes)


def _digest(placement: PlacementRecord, gpu: GpuPlacement) -> str:
    text = f"{placement.sharing_mode} {gpu.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
