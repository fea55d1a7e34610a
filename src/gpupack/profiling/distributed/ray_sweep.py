"""``profile_on_ray``: one call that measures on every machine of a Ray cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.arguments import names as names_of
from gpupack.arguments import require_kind, several
from gpupack.errors import InvalidInputError
from gpupack.profiling.distributed.cluster_store import ClusterStore
from gpupack.profiling.distributed.dispatch import Dispatch
from gpupack.profiling.distributed.ray_cluster import RayCluster
from gpupack.profiling.distributed.worker import Assignment
from gpupack.profiling.load import InputOptions
from gpupack.profiling.measuring import MeasureOptions
from gpupack.profiling.session import ServerOptions
from gpupack.profiling.sweep import (
    INPUTS_STAGE,
    SilentProgress,
    checked_loads,
    load_points,
    prepare_folder,
    write_article_tables,
)
from gpupack.quoting import listed, quoted
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import GpuType, find_gpu_type
from gpupack.records.request.arrivals import as_arrivals
from gpupack.store import PROFILE_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.files import AnyPath
    from gpupack.profile_set import ProfileSet
    from gpupack.profiling.sweep import SweepProgress
    from gpupack.records.request.arrivals import Arrivals

HOST = "host"


def profile_on_ray(
    address: str,
    models: str | Sequence[str] | None = None,
    *,
    server: ServerOptions | None = None,
    model_repository: AnyPath | None = None,
    batch_sizes: Sequence[int] = (1, 2, 4),
    concurrency: Sequence[int] | None = None,
    request_rates: Sequence[float] | None = None,
    arrivals: Arrivals | str | None = None,
    loads: int | None = None,
    gpus: str | Sequence[str] | None = None,
    store: Path | str | None = None,
    export_path: Path | str | None = None,
    strict: bool = False,
    options: MeasureOptions | None = None,
    inputs: InputOptions | None = None,
    retry_failed: bool = False,
    retry_unstable: bool = False,
    helpers: Mapping[str, str | Sequence[str]] | None = None,
    versions: Mapping[str, int] | int | None = None,
    sharing: SharingMode | str | None = None,
    probe: bool | None = None,
    command: str | None = None,
    progress: SweepProgress | None = None,
    **for_one_machine: object,
) -> ProfileSet:
    """Measure each model alone on every GPU type of a Ray cluster.

    Each GPU of the cluster gets a worker with a server of its own, and each load point
    goes to one worker of every GPU type. Records come back one by one, and this process
    alone writes them. Of a worker that dies nothing that was finished is lost; what it
    was measuring is measured by another. GPUs of one type are taken to be alike.

    Arguments and errors are those of ``profile``, but for these:

    Args:
        address: Of the cluster: ``"auto"`` for the one of this machine, ``"HOST:PORT"``
            of its head node, ``"local"`` for a new one on this machine alone.
        models: Names of models; None takes the whole repository.
        server: How workers start their servers; a running one cannot be named.
        model_repository: Folder of models, at the same path on every machine, as are
            files of ``inputs``.
        batch_sizes: Inputs per request.
        concurrency: Requests kept in flight.
        request_rates: Requests sent a second.
        arrivals: How they arrive.
        loads: Loads of each model; None finds out whether one is enough.
        gpus: GPU types to measure on, such as ``"H200"``; None takes all there are,
            ``"host"`` the processors of each machine.
        store: File to keep the records in, of all GPU types, as they come.
        export_path: Folder for the three CSV tables.
        strict: Refuse, rather than warn, when other processes use a GPU.
        options: How well to measure.
        inputs: Shapes of dynamic inputs, real data, seed.
        retry_failed: Measure again what failed in an earlier run.
        retry_unstable: Measure again what did not settle then.
        helpers: Models to load with a model because its code calls them.
        versions: The version to measure.
        sharing: How a server's processes share its GPU.
        probe: Whether to read how each model gets on with a probe beside it.
        command: What to note in the records as the command that measured.
        progress: Told how the sweep goes on.
        for_one_machine: Whatever else ``profile`` takes is refused here.

    Raises:
        MissingExtraError: Ray is not installed.
        ServerUnavailableError: There is no such cluster, or no worker is left.
    """
    given = [name for name, value in for_one_machine.items() if value is not None]
    if given:
        raise InvalidInputError(
            f"{listed(given)}: not for a Ray cluster; leave it out, or profile on one "
            "machine"
        )
    how = None if arrivals is None else as_arrivals(arrivals)
    points = load_points(batch_sizes, concurrency, request_rates, how)
    num_loads = checked_loads(loads)
    names = None if models is None else tuple(names_of("models", models))
    where = ServerOptions.of(server, model_repository=model_repository)
    if where.url is not None:
        raise InvalidInputError(
            "a Ray cluster's workers start servers of their own: give a model "
            "repository (--model-repository) rather than the URL of a running server"
        )
    if where.model_repository is None:
        raise InvalidInputError(
            "nothing to measure: give a model repository (--model-repository), at the "
            "same path on every machine"
        )
    chosen = options or MeasureOptions()
    require_kind("options", chosen, MeasureOptions, "a MeasureOptions")
    chosen.check()
    asked = inputs or InputOptions()
    mode = None if sharing is None else SharingMode.parse(sharing)
    if export_path is not None:
        folder = prepare_folder(export_path)
        store = folder / PROFILE_FILE if store is None else store
    repository = Path(where.model_repository).absolute()
    assignment = Assignment(
        server=replace(where, gpu=None, model_repository=str(repository)),
        sharing=None if mode is None else mode.value,
        arrivals=how,
        arguments={
            "strict": strict,
            "options": chosen,
            "inputs": asked,
            "retry_failed": retry_failed,
            "retry_unstable": retry_unstable,
            "helpers": dict(helpers or {}),
            "versions": versions,
            "probe": probe,
            "command": command,
            "loads": num_loads,
        },
    )
    with ClusterStore(store) as cluster_store, RayCluster(address) as cluster:
        cluster_store.check(lambda one, _: one.check_inputs(asked))
        cluster_store.check(lambda one, _: one.check_sharing(mode))
        dispatch = Dispatch(
            cluster=cluster,
            store=cluster_store,
            assignment=assignment,
            names=names,
            points=points,
            wanted=_wanted_types(gpus if gpus is not None else where.gpu),
            retry_failed=retry_failed,
            retry_unstable=retry_unstable,
            num_loads=num_loads,
            progress=progress or SilentProgress(),
        )
        dispatch.run()
        profiles = cluster_store.profiles()
        if export_path is not None:
            write_article_tables(profiles, export_path, own_file=cluster_store.file)
    bad = [failure for failure in profiles.failures if failure.stage == INPUTS_STAGE]
    if bad and not profiles.records:
        raise InvalidInputError(bad[0].message)
    return profiles


def _wanted_types(
    gpus: int | str | Sequence[str] | None,
) -> tuple[GpuType, ...] | None:
    """Return the GPU types asked for, none for the host, None for all."""
    if gpus is None:
        return None
    names: list[object] = (
        [gpus] if isinstance(gpus, str | int) else [*several("gpus", gpus, '["H200"]')]
    )
    if [str(one).strip() for one in names] == [HOST]:
        return ()
    for one in names:
        if not isinstance(one, str) or one.strip().isdecimal():
            raise InvalidInputError(
                f"gpus is {quoted(one)}: on a cluster GPUs are named by their type, "
                'such as "H200", or "host" for processors; leave it out for all'
            )
    return tuple(find_gpu_type(str(one)) for one in names)
