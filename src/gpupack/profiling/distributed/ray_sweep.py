"""``profile_on_ray``: one call that measures on every machine of a Ray cluster."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from gpupack.arguments import names as names_of
from gpupack.arguments import several
from gpupack.errors import InvalidInputError
from gpupack.profiling.distributed.cluster_store import ClusterStore
from gpupack.profiling.distributed.dispatch import Dispatch
from gpupack.profiling.distributed.ray_cluster import RayCluster
from gpupack.profiling.distributed.worker import Assignment
from gpupack.profiling.sweep import (
    INPUTS_STAGE,
    AskedSweep,
    SilentProgress,
    SweepArguments,
    takes_sweep_arguments,
    write_article_tables,
)
from gpupack.quoting import quoted
from gpupack.records.gpu import GpuType, find_gpu_type
from gpupack.records.request.arrivals import POISSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.files import AnyPath
    from gpupack.profile_set import ProfileSet

HOST = "host"


@takes_sweep_arguments
def profile_on_ray(
    address: str,
    models: AnyPath | Sequence[AnyPath] | None = None,
    **asked: Unpack[SweepArguments],
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
        models: Names of models, or model files, at the same path on every machine, as
            are files of ``inputs``; each machine makes a repository of files itself,
            so none is kept.
        asked: As ``profile`` takes it, but for ``server``, whose URL cannot be that of
            a running one; ``model_repository``, at the same path on every machine; and
            ``gpus``: GPU types to measure on, such as ``"H200"``; None takes all there
            are, ``"host"`` the processors of each machine.

    Raises:
        MissingExtraError: Ray is not installed.
        ServerUnavailableError: There is no such cluster, or no worker is left.
    """
    sweep = AskedSweep.of(asked)
    names, files = _models(models, sweep)
    repository = sweep.where.model_repository
    gpus = asked.get("gpus")
    assignment = Assignment(
        replace(
            sweep,
            where=replace(
                sweep.where,
                gpu=None,
                model_repository=(
                    None if repository is None else str(Path(repository).absolute())
                ),
            ),
            store=None,
            export_path=None,
            progress=SilentProgress(),
        ),
        files,
    )
    with ClusterStore(sweep.store) as cluster_store, RayCluster(address) as cluster:
        cluster_store.check(lambda one, _: one.check_inputs(sweep.inputs))
        cluster_store.check(lambda one, _: one.check_versions(sweep.versions))
        cluster_store.check(lambda one, _: one.check_sharing(sweep.sharing))
        arrivals = str(sweep.arrivals or POISSON)
        cluster_store.check(lambda one, _: one.check_arrivals(sweep.points, arrivals))
        dispatch = Dispatch(
            cluster=cluster,
            store=cluster_store,
            assignment=assignment,
            names=names,
            wanted=_wanted_types(gpus if gpus is not None else sweep.where.gpu),
            progress=sweep.progress,
        )
        dispatch.run()
        profiles = cluster_store.profiles()
        if sweep.export_path is not None:
            write_article_tables(
                profiles, sweep.export_path, own_file=cluster_store.file
            )
    bad = [failure for failure in profiles.failures if failure.stage == INPUTS_STAGE]
    if bad and not profiles.records:
        raise InvalidInputError(bad[0].message)
    return profiles


def _models(
    models: AnyPath | Sequence[AnyPath] | None, sweep: AskedSweep
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the names of models, None for all, and the paths of model files.

    Raises:
        InvalidInputError: If neither a repository nor files are given, or both.
    """
    if sweep.where.url is not None:
        raise InvalidInputError(
            "a Ray cluster's workers start servers of their own: give a model "
            "repository (--model-repository) rather than the URL of a running server"
        )
    given = [models] if isinstance(models, str | os.PathLike) else models
    found = None if given is None else [os.fspath(one) for one in given]
    if sweep.where.model_repository is not None:
        if sweep.files is not None:
            raise InvalidInputError(
                "options for model files are given (files), but no model file: name "
                "files, without a server and a model repository"
            )
        return None if found is None else tuple(names_of("models", found)), ()
    if not found:
        raise InvalidInputError(
            "nothing to measure: give a model repository (--model-repository), or "
            "model files, at the same path on every machine"
        )
    if sweep.files is not None and sweep.files.keep_repository is not None:
        raise InvalidInputError(
            "each machine of a Ray cluster makes a repository of model files itself, "
            "and none is kept: leave out --keep-repository (keep_repository), or "
            "profile on one machine with it"
        )
    return None, tuple(str(Path(one).absolute()) for one in names_of("models", found))


def _wanted_types(
    gpus: int | str | Sequence[int | str] | None,
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
