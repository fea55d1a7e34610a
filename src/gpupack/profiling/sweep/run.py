"""``gpupack.profile``: every model alone, at every load point, nothing lost."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Unpack

from gpupack.arguments import several
from gpupack.errors import InvalidInputError
from gpupack.profiling.session import takes_turns
from gpupack.profiling.sweep.asked_sweep import (
    AskedSweep,
    SweepArguments,
    takes_sweep_arguments,
)
from gpupack.profiling.sweep.exports import write_article_tables
from gpupack.profiling.sweep.spreading import sweep_over_gpus
from gpupack.profiling.sweep.sweep_store import INPUTS_STAGE, SweepStore
from gpupack.profiling.sweep.swept_models import SweptModels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.files import AnyPath
    from gpupack.profile_set import ProfileSet
    from gpupack.profiling.embedded import InstallProgress


@takes_sweep_arguments
def profile(
    models: AnyPath | Sequence[AnyPath] | None = None,
    *,
    install_progress: InstallProgress | None = None,
    **asked: Unpack[SweepArguments],
) -> ProfileSet:
    """Measure each model alone, at every batch size × concurrency or request rate.

    The server-only baseline comes first. Each load point is on the disk before the
    next begins; the same call with the same ``store`` goes on where it was stopped.
    A load point that fails becomes a failure in the result, and the sweep goes on.

    Args:
        models: Names of models; None takes the whole repository. With neither a server
            nor a repository they are model files: ONNX, TorchScript, programs of
            ``torch.export``, folders of Hugging Face checkpoints.
        server: URL of a running Triton (``http://``, ``https://``, ``grpc://``,
            ``grpcs://``) with explicit model control, an ``EmbeddedServer``, or a
            ``ServerOptions`` that says more. None starts an embedded one on
            ``model_repository``.
        model_repository: Folder of models, for the embedded server.
        batch_sizes: Inputs per request.
        concurrency: Requests kept in flight; 1, 2 and 4 if neither these nor rates are
            given.
        request_rates: Requests sent a second, whether or not those before were answered
            (an open loop): latencies are measured from when a request was due.
        arrivals: How they arrive: ``"poisson"`` (the default), ``"constant"``,
            ``"gamma:0.5"`` (in bursts; 1 is Poisson), or a file of times, whose own
            rate is taken where ``request_rates`` are left out.
        instances: Copies of each model that the server runs, each count a variant of
            its own; by default what the model's configuration says.
        loads: Load each model so many times, each with a fresh server process, and
            measure every load point in each: its interval then holds what varies from
            load to load, too. None finds out whether one is enough: one load point of
            each model is measured in a second load, and all in three where its loads
            differ by more than chance and twice the precision. A running server, which
            is not restarted, loads its models anew, and is asked for one load by None.
        gpus: The GPU to measure on: index, ``"GPU:MIG"`` indices, UUID, or ``"host"``.
            For a server on another host, the name of its GPU type. Several of one type
            share the work, each with an embedded server and cores of its own.
        store: File to keep the records in, as they come; by default gpupack's own
            file in ``export_path``, nowhere without that.
        export_path: Folder for the three CSV tables, written at the end, and gpupack's
            own file, ``profiles.jsonl``.
        strict: Refuse, rather than warn, when other processes use the GPU.
        options: How well to measure, and by which stopping rule.
        inputs: Shapes of dynamic inputs, real data, seed.
        files: How model files are served, and whether their repository is kept.
        retry_failed: Measure again what failed in an earlier run of this store.
        retry_unstable: Measure again what did not settle then; a record is replaced
            once its new measurement is there.
        helpers: Models to load with a model because its code calls them, by its name.
            An ensemble's steps are loaded by Triton, and what the error of a call names
            is found, so that few need to be given.
        versions: The version to measure, of every model or by a model's name; by
            default what the server chooses.
        sharing: How the server's processes share the GPU. ``"mps"`` puts a private MPS
            daemon under the embedded server that is started here; for another server
            it says what is so, if the device cannot tell.
        probe: Whether to read, after each load point, how the model gets on with a
            probe beside it (see ``measuring.probing``), which predictions for MPS and
            for time slicing use. None does beside the embedded server's models on a
            GPU; that takes some two seconds per load point.
        command: What to note in the records as the command that measured.
        progress: Told how the sweep goes on.
        install_progress: Told about the installation of the embedded server.

    Returns:
        Baseline, records and failures: those of this call, and of the store.

    Raises:
        InvalidInputError: Something that was asked for cannot be; also when not one
            load point could be measured because of what was asked for.
        ServerError: The server cannot be started or reached.
        DeviceError: The GPU cannot be used, or not by the probe that was asked for.
        StoreError: The store cannot be used; all before this point is in it.
    """
    several_gpus = _gpus(asked.get("gpus"))
    sweep = AskedSweep.of(asked, gpu=several_gpus[0] if several_gpus else None)
    with ExitStack() as stack:
        swept = SweptModels.of(
            models,
            stack,
            where=sweep.where,
            files=sweep.files,
            inputs=sweep.inputs,
            batch_sizes=sweep.batch_sizes,
            num_instances=sweep.instances,
            progress=sweep.progress,
            install_progress=install_progress,
        )
        return run_sweep(
            sweep,
            swept,
            stack,
            several_gpus=several_gpus,
            install_progress=install_progress,
        )


def run_sweep(
    asked: AskedSweep,
    swept: SweptModels,
    stack: ExitStack,
    *,
    several_gpus: Sequence[int | str] = (),
    install_progress: InstallProgress | None = None,
) -> ProfileSet:
    """Measure what is asked of models on this machine.

    Args:
        asked: What to measure.
        swept: The models, and the server that they are on.
        stack: Ends what is started here.
        several_gpus: GPUs that share the work; one at most: the server's own.
        install_progress: Told about the installation of the embedded server.

    Raises:
        GpupackError: As ``profile`` does.
    """
    names, where, mode = swept.names, swept.server, asked.sharing
    order = asked.order(swept)
    sweep_store = stack.enter_context(SweepStore(asked.store))
    device = where.device()
    sweep_store.check_fits(names, device.gpu_type.name)
    sweep_store.check_inputs(swept.inputs)
    sweep_store.check_versions(asked.versions)
    sweep_store.check_sharing(mode)
    sweep_store.check_arrivals(asked.points, str(order.arrivals))
    if len(several_gpus) > 1:
        sweep_over_gpus(
            order,
            several_gpus,
            names=names,
            store=sweep_store,
            progress=asked.progress,
            install_progress=install_progress,
        )
    else:
        session = where.session(stack, sharing=mode, install_progress=install_progress)
        sweep = order.sweep(session, sweep_store, asked.progress)
        sweep_store.warn_of_other_options(sweep.told_options)
        if names is None or sweep_store.baseline is None or sweep.has_work(names):
            sweep.probe = session.kernel_probe(asked.probe, in_turns=takes_turns(mode))
            with session:
                sweep.run(names)
    profiles = sweep_store.profiles()
    if asked.export_path is not None:
        # While the store is still ours: it may be one of the files.
        write_article_tables(profiles, asked.export_path, own_file=sweep_store.file)
    bad = [failure for failure in profiles.failures if failure.stage == INPUTS_STAGE]
    if bad and not profiles.records:
        raise InvalidInputError(bad[0].message)
    return profiles


def _gpus(
    gpus: int | str | Sequence[int | str] | None,
) -> tuple[int | str, ...]:
    if gpus is None:
        return ()
    if isinstance(gpus, int | str):
        return (gpus,)
    found = several("gpus", gpus, "[0, 1]")
    if not found:
        raise InvalidInputError("gpus: name at least one, such as 0, or leave it out")
    return tuple(found)
