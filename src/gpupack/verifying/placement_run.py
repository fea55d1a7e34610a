"""Run a placement and see whether it holds: ``verify()``."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.arguments import require_kind, several
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.files import AnyPath
from gpupack.given_numbers import real_number, whole_number
from gpupack.profiling import (
    EmbeddedServer,
    InputOptions,
    MeasureOptions,
    ServerOptions,
    can_set_up,
    find_repository,
)
from gpupack.quoting import listed, quoted, quoted_all
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind, is_same_card
from gpupack.records.placement import PlacementRecord
from gpupack.records.request.arrivals import POISSON, as_arrivals
from gpupack.report.cautions import estimated_gpus
from gpupack.store import open_verifications, record_line
from gpupack.units import mib_from_bytes
from gpupack.verifying.deployed import verify_deployment
from gpupack.verifying.finished import Circumstances, device_identity, read_finished
from gpupack.verifying.gpu_run import clear_gpu, run_gpu
from gpupack.verifying.round_options import DEFAULT_PRECISION, RoundOptions
from gpupack.verifying.verdict import judge_gpu, undecided_places

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpupack.profiling import InstallProgress, ServerSession
    from gpupack.records.placement import GpuPlacement, PlacementRecord
    from gpupack.records.request.arrivals import Arrivals
    from gpupack.records.running.verification import GpuVerification

DEFAULT_TOLERANCE = 0.1
"""A promise is broken when this share of a throughput is missing."""
__all__ = ["DEFAULT_PRECISION", "DEFAULT_TOLERANCE", "Verification", "verify"]
_MPS_NOT_SEEN = (
    "the placement counts on MPS; whether the given server's models share the GPU "
    "through it cannot be seen from here"
)


@dataclass(frozen=True)
class Verification:
    """Every GPU that was run, and whether all promises were kept."""

    gpus: tuple[GpuVerification, ...]

    @property
    def is_broken(self) -> bool:
        """Whether a promise of any GPU was broken."""
        return any(gpu.is_broken for gpu in self.gpus)

    @property
    def is_kept(self) -> bool:
        """Whether every promise of every GPU was kept: none is broken or not known."""
        return all(gpu.is_kept for gpu in self.gpus)

    def __str__(self) -> str:
        """Return a readable table, one line per model instance."""
        from gpupack.report.verification import format_verification

        return format_verification(self.gpus)


def verify(
    placement: PlacementRecord,
    *,
    model_repository: AnyPath | None = None,
    server: ServerOptions | EmbeddedServer | str | None = None,
    gpu_indices: Sequence[int] | None = None,
    gpu: int | str | None = None,
    store: Path | str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    precision: float | str | None = None,
    max_seconds: float | None = None,
    strict: bool = False,
    options: MeasureOptions | None = None,
    progress: Callable[[str], None] | None = None,
    inputs: InputOptions | None = None,
    on_gpu: Callable[[GpuVerification], None] | None = None,
    install_progress: InstallProgress | None = None,
    deployment: AnyPath | None = None,
    arrivals: Arrivals | str | None = None,
) -> Verification:
    """Run the GPUs of a placement, one after the other, and judge its promises.

    For each GPU: its models are loaded, measured in rounds at their load points, each
    alone and all together in random order, until it is known what every model keeps,
    and unloaded. An instance that was placed for a demand is sent
    the traffic planned for it, as requests arrive; others as much as they answer.

    Args:
        placement: What was promised.
        model_repository: Folder of models; an embedded server is started on it.
        server: A server that has no models loaded, or its URL, instead; or a
            ``ServerOptions`` that says more, as for ``profile``.
        gpu_indices: GPUs of the placement to run; all of them if None.
        gpu: The GPU of this machine to run them on, as for ``profile``.
        store: File of results; GPUs that were measured on this device and server, with
            these inputs and options, are not run again but judged anew.
        tolerance: Share of a promised throughput that may be missing, and points of
            retention; 0.1 allows for the noise of a shared host.
        precision: Rounds go on until the 95 % interval of what every model keeps of its
            throughput alone is at most so much to either side (0.03 or ``"3%"``), and
            while a promise is undecided until a quarter of it. By default the
            half-width that ``options`` ask for, 0.03 without options.
        max_seconds: For so long at most per GPU, loading left aside; by default 110.
        strict: Refuse to measure beside other processes on the GPU.
        options: How to measure in each block of a round: warm-up, timeouts, the
            percentile; the time cap is that of a block. Its seed is that of ``inputs``.
        progress: Told what is being done.
        inputs: Where requests' data come from: shapes, files, seed. Shapes that are
            not given are those that the models were profiled with.
        on_gpu: Told the verdict on each GPU as it comes, those of the store first.
        install_progress: Told about the installation of the embedded server.
        deployment: The folder that ``deploy`` wrote for this placement, instead of a
            repository or server: its servers run on this host, and their models are
            measured where they are.
        arrivals: How requests of planned traffic arrive: ``"poisson"`` (the default),
            ``"constant"``, ``"gamma:0.5"`` (in bursts), or a file of times.

    Raises:
        UnknownNameError: A GPU index that the placement does not have.
        InvalidInputError: Models missing in the repository, a GPU too small, none for
            a placement under MPS, or foreign processes with ``strict``; before
            anything is loaded.
        StoreError: The store cannot be written, holds something else, or another
            verification writes to it; before anything is started.
        ServerError: The server cannot be had, or is lost. A model that fails to load
            or to answer breaks its GPU's promises; the other GPUs are run.
    """
    require_kind(
        "placement",
        placement,
        PlacementRecord,
        "what place() or gpupack.read_placement(path) returns",
    )
    share = real_number(tolerance)
    if share is None or not 0 <= share < 1:
        raise InvalidInputError(
            f"tolerance is {quoted(tolerance)}; it must be at least 0 and below 1, "
            "such as 0.1"
        )
    how = POISSON if arrivals is None else as_arrivals(arrivals)
    rounds = RoundOptions.of(
        precision, max_seconds, (inputs or InputOptions()).seed, options
    )
    chosen = _chosen_gpus(placement, gpu_indices)
    estimated = estimated_gpus(placement) & {one.gpu_type.name for one in chosen}
    if estimated:
        raise InvalidInputError(
            f"nothing was measured on {listed(sorted(estimated))}: what the placement "
            "says of it are estimates by published figures, which promise nothing that "
            "could be verified; profile there, and place again"
        )
    where = ServerOptions.of(server, model_repository=model_repository, gpu=gpu)
    if deployment is not None:
        if where.url is not None or where.model_repository is not None:
            raise InvalidInputError(
                "a deployment has servers of its own: leave the URL (--url) and the "
                "model repository (--model-repository) out"
            )
        return Verification(
            verify_deployment(
                placement,
                chosen,
                deployment,
                gpu=where.gpu,
                store=store,
                tolerance=tolerance,
                options=options,
                rounds=rounds,
                inputs=inputs,
                arrivals=how,
                progress=progress,
                on_gpu=on_gpu,
            )
        )
    if (where.model_repository is None) == (where.url is None):
        raise InvalidInputError(
            "give either a model repository (--model-repository), for an embedded "
            "server, the URL of a running one (--url), or what deploy wrote "
            "(--deployment), "
            + ("not both" if where.url is not None else "got neither")
        )
    names = {name for one in chosen for name in one.models}
    if where.model_repository is not None:
        folder = where.model_repository
        _require_models(names, _folder_models(folder), str(folder))
    with ExitStack() as stack:
        results_file = (
            stack.enter_context(open_verifications(store))
            if store is not None
            else None
        )
        given = (inputs or InputOptions()).with_shapes_of(placement.placed_profiles)
        found = where.device()
        if (
            placement.sharing_mode is SharingMode.MPS
            and found.gpu_type.kind is DeviceKind.HOST
        ):
            raise InvalidInputError(
                "the placement counts on MPS, which shares an NVIDIA GPU, but the host "
                "is measured here; verify it on a machine with such a GPU"
            )
        circumstances = Circumstances(
            device=device_identity(found),
            server=where.name,
            inputs=given,
            options=options,
            precision=rounds.precision,
            max_seconds=rounds.max_seconds,
            arrivals=how,
        )
        digests = {
            one.gpu_index: circumstances.digest(placement, one) for one in chosen
        }
        done = read_finished(store) if store is not None else {}
        results = {
            one.gpu_index: judge_gpu(
                placement,
                one,
                done[digest].measurements,
                digest=digest,
                tolerance=tolerance,
                warnings=done[digest].warnings,
            )
            for one in chosen
            if (digest := digests[one.gpu_index]) in done
        }
        tell = on_gpu or (lambda result: None)
        for known in results.values():
            tell(known)
        to_do = [one for one in chosen if one.gpu_index not in results]
        if to_do:
            is_given = where.url is not None
            is_mps = placement.sharing_mode is SharingMode.MPS
            notes: tuple[str, ...] = (_MPS_NOT_SEEN,) if is_given and is_mps else ()
            session = where.session(
                stack,
                sharing=placement.sharing_mode,
                install_progress=install_progress,
            )
            probe = session.kernel_probe()
            stack.enter_context(session)
            _require_models(
                names,
                {model.name for model in session.server.repository()},
                "the server",
            )
            notes += _check_device(session, placement, chosen, strict=strict)
        for one in to_do:
            run = None
            helpers = _helpers(placement, one)
            try:
                run = run_gpu(
                    session,
                    one,
                    sharing_mode=placement.sharing_mode,
                    inputs=given,
                    options=rounds,
                    find_undecided=undecided_places(placement, one, tolerance),
                    load_timeout_s=where.load_timeout_s,
                    helpers=helpers,
                    probe=probe,
                    arrivals=how,
                    demand=placement.served_infer_per_sec,
                    say=progress or (lambda text: None),
                )
                result = judge_gpu(
                    placement,
                    one,
                    run.measurements,
                    digest=digests[one.gpu_index],
                    tolerance=tolerance,
                    warnings=(*notes, *run.notes, *_variant_notes(one)),
                    failures=run.failures,
                    restarted=run.restarted,
                )
                results[one.gpu_index] = result
                if results_file is not None:
                    results_file.append(record_line(result))
                tell(result)
            finally:
                # A server that is about to be stopped need not be left clean.
                if not session.is_owned or (run and one is not to_do[-1]):
                    clear_gpu(
                        session,
                        one,
                        has_failed=bool(run and (run.failures or run.restarted)),
                        helpers=helpers,
                    )
        return Verification(tuple(results[one.gpu_index] for one in chosen))


def _chosen_gpus(
    placement: PlacementRecord, gpu_indices: Sequence[int] | None
) -> tuple[GpuPlacement, ...]:
    known = {gpu.gpu_index: gpu for gpu in placement.gpus}
    if gpu_indices is not None:
        gpu_indices = several("gpu_indices", gpu_indices, "[0, 2]")
    unknown = [index for index in gpu_indices or () if whole_number(index) not in known]
    if unknown:
        raise UnknownNameError(
            f"the placement has no GPU {quoted_all(unknown)}; it has GPUs "
            f"{quoted_all(known)}"
        )
    return tuple(
        gpu
        for index, gpu in known.items()
        if gpu_indices is None or index in gpu_indices
    )


def _helpers(placement: PlacementRecord, gpu: GpuPlacement) -> set[str]:
    """Return the models that those of a GPU were measured with, and call."""
    return {
        helper
        for record in placement.placed_profiles
        if record.model_name in gpu.models
        for helper in record.helpers
    }


def _folder_models(repository: AnyPath) -> set[str]:
    """Return the folders with a configuration, or a version that Triton completes."""
    folder = find_repository(repository)
    versions = (path for path in folder.glob("*/*") if path.name.isdecimal())
    return {path.parent.name for path in (*folder.glob("*/config.pbtxt"), *versions)}


def _require_models(wanted: set[str], known: set[str], where: Path | str) -> None:
    missing = sorted(wanted - known)
    if missing:
        raise InvalidInputError(
            f"the placement has models that are not in {where}: {listed(missing)}; it "
            f"has {listed(sorted(known)) or 'none'}"
        )


def _variant_notes(gpu: GpuPlacement) -> tuple[str, ...]:
    """Say which models' configurations decide whether the right thing is measured."""
    variants = {
        one.model_name: str(one.load_point.variant)
        for one in gpu.assignments
        if (variant := one.load_point.variant) is not None and not can_set_up(variant)
    }
    return tuple(
        f"{name} was placed as its variant {variant}, but is served as its "
        "configuration says: see that the two are the same"
        for name, variant in variants.items()
    )


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
    measured_on = {record.gpu_type for record in placement.placed_profiles}
    if measured_on and not any(is_same_card(there, one) for one in measured_on):
        profiled = ", ".join(sorted({one.name for one in measured_on}))
        notes.append(f"verified on {there.name}, but profiled on {profiled}")
    foreign = device.foreign_processes((*session.own_pids, os.getpid()))
    if foreign:
        text = f"other processes are on the GPU: {'; '.join(foreign)}"
        if strict:
            raise InvalidInputError(f"{text}; end them, or measure without strict")
        notes.append(text)
    return tuple(notes)
