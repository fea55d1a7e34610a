"""Compare all that can be asked with what was planned: ``check_status()``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.arguments import by_name
from gpupack.deploying.status.cluster_status import cluster_differences
from gpupack.deploying.status.difference import Difference, Status
from gpupack.deploying.status.kubectl_output import read_cluster, read_objects
from gpupack.deploying.status.server_status import server_differences
from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.files import as_path
from gpupack.quoting import listed, quoted, quoted_all
from gpupack.spelling import setting
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
    namespace: str | None = None,
    tls: TlsOptions | None = None,
) -> Status:
    """Return whether what runs equals what ``deploy()`` planned.

    Args:
        deployment: The folder that ``deploy`` wrote.
        urls: By server name, where it answers; several for replicas. Servers whose
            ports the plan knows are asked there if they are not named.
        host: Where those ports are.
        cluster: File with what ``kubectl get … -o json`` printed.
        namespace: The one of the cluster's to compare; by default that in which objects
            of the deployment are.
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
    if namespace is not None and (cluster is None or not namespace):
        raise InvalidInputError(
            f"{setting('namespace', namespace)} is about the objects in cluster.json "
            f"({setting('cluster', 'cluster.json')}): give both, or neither"
        )
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
        differing, same = _cluster(record, folder, cluster, namespace)
        found += differing
        equal += same
    return Status(tuple(found), tuple(equal), tuple(unchecked))


def _cluster(
    record: DeploymentRecord,
    folder: AnyPath,
    cluster: AnyPath,
    namespace: str | None,
) -> tuple[list[Difference], list[str]]:
    if not record.manifests:
        raise InvalidInputError(
            f"a plan for {record.target} has no objects of a cluster to compare: leave "
            "--cluster out"
        )
    base = as_path(folder)
    return cluster_differences(
        read_objects(base / path for path in record.manifests),
        read_cluster(cluster),
        name=record.name,
        where=quoted(str(cluster)),
        namespace=namespace,
    )
