"""Compare all that can be asked with what was planned: ``check_status()``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.arguments import by_name
from gpupack.deploying.status.cluster_status import (
    CLUSTER,
    cluster_differences,
    read_cluster,
    read_objects,
)
from gpupack.deploying.status.difference import Difference, Status
from gpupack.deploying.status.server_status import server_differences
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.files import as_path
from gpupack.quoting import listed, quoted_all
from gpupack.store import read_deployment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.files import AnyPath
    from gpupack.profiling import TlsOptions
    from gpupack.records.running.deployment import DeploymentRecord


def check_status(
    deployment: AnyPath,
    *,
    urls: Mapping[str, str | Sequence[str]] | None = None,
    host: str = "127.0.0.1",
    cluster: AnyPath | None = None,
    tls: TlsOptions | None = None,
) -> Status:
    """Return whether what runs equals what ``deploy()`` planned.

    Args:
        deployment: The folder that ``deploy`` wrote.
        urls: By server name, where it answers; several for replicas. Servers whose
            ports the plan knows are asked there if they are not named.
        host: Where those ports are.
        cluster: File with what ``kubectl get … -o json`` printed.
        tls: For ``https`` and ``grpcs`` URLs.

    Raises:
        StoreError: If the folder holds no deployment, or a file cannot be read.
        UnknownNameError: If a server is named that was not planned.
        InvalidInputError: If there is nothing to ask, or a URL is none.
    """
    record = read_deployment(deployment)
    folder = as_path(deployment)
    folder = folder if folder.is_dir() else folder.parent
    given = by_name("urls", urls or {}, '{"gpu-0": "http://localhost:8000"}')
    known = {server.name: server for server in record.servers}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UnknownNameError(
            f"no server {quoted_all(unknown)} was planned; there are {listed(known)}"
        )
    asked: dict[str, list[str]] = {}
    for name, server in known.items():
        if name in given:
            own = given[name]
            asked[name] = [own] if isinstance(own, str) else list(own)
        elif (url := server.url(host)) is not None:
            asked[name] = [url]
    if not asked and cluster is None:
        raise InvalidInputError(
            f"the plan for {record.target} does not say where its servers answer: give "
            "their URLs (--url gpu-0=http://…), or what kubectl get -o json prints "
            "(--cluster FILE)"
        )
    found: list[Difference] = []
    equal: list[str] = []
    for name, of_name in asked.items():
        for url in of_name:
            of_server = server_differences(known[name], url, tls=tls)
            found += of_server
            if not of_server:
                num = len(known[name].models)
                models = f"{num} model{'s' if num != 1 else ''}"
                equal.append(f"{name} at {url}, {models}")
    unchecked = [
        f"server {name}: no URL was given" for name in known if name not in asked
    ]
    if cluster is not None:
        differing, same, left_out = _cluster(record, folder, cluster)
        found += differing
        equal += same
        unchecked += left_out
    return Status(tuple(found), tuple(equal), tuple(unchecked))


def _cluster(
    record: DeploymentRecord, folder: AnyPath, cluster: AnyPath
) -> tuple[list[Difference], list[str], list[str]]:
    if not record.manifests:
        raise InvalidInputError(
            f"a plan for {record.target} has no objects of a cluster to compare: leave "
            "--cluster out"
        )
    base = as_path(folder)
    planned = read_objects(base / path for path in record.manifests)
    there = read_cluster(cluster)
    differing = cluster_differences(planned, there, name=record.name)
    kinds = {kind for kind, _ in there}
    asked = sorted({kind for kind, _ in planned} & kinds)
    left_out = sorted({kind for kind, _ in planned} - kinds)
    wrong = {one.what for one in differing if one.where == CLUSTER}
    same = sum(f"{kind} {name}" not in wrong for kind, name in planned if kind in asked)
    return (
        differing,
        [f"{same} objects of the cluster ({', '.join(asked)})"] if same else [],
        [f"objects of kind {kind}: the output has none" for kind in left_out],
    )
