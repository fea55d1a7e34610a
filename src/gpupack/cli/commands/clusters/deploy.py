"""``gpupack deploy`` and ``status``: files that run a placement; does it run?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gpupack.cli.console import print_error, print_warning, results
from gpupack.cli.options.measuring import (
    TlsCaOption,
    TlsCertOption,
    TlsInsecureOption,
    TlsKeyOption,
)
from gpupack.cli.outputs import require_apart, write_output
from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_DIFFERS = 4
"""What runs is not what was planned."""
Key = TypeVar("Key")
Value = TypeVar("Value")
_TARGETS = ("triton", "compose", "kubernetes", "helm", "dra")


def _complete_target(incomplete: str) -> list[str]:
    return [name for name in _TARGETS if name.startswith(incomplete)]


def deploy_command(
    placement: Annotated[Path, typer.Argument(help="A placement written by place.")],
    *,
    to: Annotated[
        str,
        typer.Option(
            help="triton, compose, kubernetes, helm or dra.",
            autocompletion=_complete_target,
        ),
    ],
    model_repository: Annotated[
        Path, typer.Option(help="Folder of the models, in Triton's layout.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder to write: new, empty, or written by deploy."
        ),
    ],
    name: Annotated[
        str, typer.Option(help="Of the whole: what is written begins with it.")
    ] = "gpupack",
    in_repository: Annotated[
        bool,
        typer.Option(
            "--in-repository",
            help="Write configurations into the model repository, not an overlay.",
        ),
    ] = False,
    one_server: Annotated[
        bool,
        typer.Option(
            "--one-server", help="One server per GPU, whatever sharing was measured."
        ),
    ] = False,
    server_url: Annotated[
        str | None,
        typer.Option(
            help="A running Triton that completes configurations which leave it to it."
        ),
    ] = None,
    server_batching_delay: Annotated[
        int | None,
        typer.Option(
            metavar="MICROSECONDS",
            help="Clients send single inputs; the server waits so long to make batches "
            "of the planned size.",
        ),
    ] = None,
    gpu_uuid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDEX=UUID", help="The card that a planned GPU is; repeat."
        ),
    ] = None,
    mps_share: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=PERCENT",
            help="Share of the multiprocessors for a model under MPS; repeat.",
        ),
    ] = None,
    no_mps_memory_limits: Annotated[
        bool,
        typer.Option(
            "--no-mps-memory-limits",
            help="Do not hold servers under MPS to the memory planned for them.",
        ),
    ] = False,
    first_port: Annotated[
        int, typer.Option(help="HTTP port of the first server; each takes three.")
    ] = 8000,
    port: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDEX=PORT", help="First port of a planned GPU's servers; repeat."
        ),
    ] = None,
    router_port: Annotated[
        int, typer.Option(help="Where NGINX or Envoy listens before the servers.")
    ] = 8080,
    image: Annotated[
        str | None, typer.Option(help="Container image that has tritonserver.")
    ] = None,
    shared_memory: Annotated[
        int, typer.Option(metavar="MIB", help="/dev/shm of each container.")
    ] = 1024,
    kubernetes_version: Annotated[
        str, typer.Option(help="Whose API is written for: 1.34 to 1.37.")
    ] = "1.34",
    model_claim: Annotated[
        str, typer.Option(help="PersistentVolumeClaim with the model repository.")
    ] = "models",
    gpu_product: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE=LABEL",
            help="The nvidia.com/gpu.product of nodes with a GPU type; repeat.",
        ),
    ] = None,
    hami: Annotated[
        bool, typer.Option("--hami", help="Resources and annotations for HAMi.")
    ] = False,
    gateway: Annotated[
        str, typer.Option(help="Gateway that weighted routes are attached to.")
    ] = "gateway",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but what was changed.")
    ] = False,
) -> None:
    """Write the files that run a placement; nothing is started.

    The folder also gets a DEPLOYMENT.md: what was written, what the target could not
    express, how to apply it and how to check. Exit codes: 0 written, 2 bad input.
    """
    from gpupack.deploying import DeployOptions, deploy
    from gpupack.store import read_placement

    given = DeployOptions(
        name=name,
        in_repository=in_repository,
        one_server=one_server,
        server_url=server_url,
        server_batching_delay_us=server_batching_delay,
        gpu_uuids=_pairs("--gpu-uuid", gpu_uuid, "0=GPU-5b3c…", _index, str),
        mps_shares_percent=_pairs("--mps-share", mps_share, "bert=70", str, float),
        mps_memory_limits=not no_mps_memory_limits,
        first_port=first_port,
        ports=_pairs("--port", port, "0=8000", _index, int),
        router_port=router_port,
        shared_memory_mib=shared_memory,
        kubernetes_version=kubernetes_version,
        model_claim=model_claim,
        gpu_products=_pairs("--gpu-product", gpu_product, "T4=Tesla-T4", str, str),
        hami=hami,
        gateway=gateway,
        **({} if image is None else {"image": image}),
    )
    made = deploy(
        read_placement(placement),
        to,
        model_repository=model_repository,
        output=output,
        options=given,
    )
    if not quiet:
        results.print(str(made).splitlines()[0], markup=False, soft_wrap=True)
        results.print(
            f"{output / 'DEPLOYMENT.md'} says how to apply it, and how to check",
            markup=False,
            soft_wrap=True,
        )
    for note in made.notes:
        print_warning(note)


def status_command(
    deployment: Annotated[
        Path, typer.Argument(help="The folder that deploy wrote, or its JSON file.")
    ],
    *,
    url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SERVER=]URL",
            help="Where a server answers, such as gpu-0=http://node:8000; repeat, also "
            "for replicas. Without: the ports that deploy gave them.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where those ports are.")] = "127.0.0.1",
    cluster: Annotated[
        Path | None,
        typer.Option(
            help="What `kubectl get deployments,services,configmaps,pods -o json` "
            "printed, and with dra resourceclaims; what is not in it is missing."
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="The only one of the cluster's to compare; without: where the "
            "deployment's objects are."
        ),
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write what was found as JSON; - prints it."),
    ] = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_insecure: TlsInsecureOption = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say it by the exit code alone.")
    ] = False,
) -> None:
    """Ask servers and a cluster whether what runs is what was planned.

    Exit codes: 0 it is, 2 bad input, 4 it differs.
    """
    from gpupack.deploying import check_status
    from gpupack.profiling import TlsOptions
    from gpupack.store import read_deployment

    require_apart({"--json": json_path}, [cluster])
    found = check_status(
        deployment,
        urls=_urls(
            url or (), [one.name for one in read_deployment(deployment).servers]
        ),
        host=host,
        cluster=cluster,
        namespace=namespace,
        tls=TlsOptions(
            ca_path=tls_ca,
            certificate_path=tls_cert,
            key_path=tls_key,
            verify=not tls_insecure,
        ),
    )
    if json_path is not None:
        write_output(json_path, found.to_json())
    if not quiet and str(json_path) != "-":
        results.print(str(found), markup=False, soft_wrap=True)
    if not found.is_equal:
        if not quiet:
            print_error("what runs is not what was planned")
        raise typer.Exit(EXIT_DIFFERS)


def _urls(given: Sequence[str], servers: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in given:
        server, equals, address = text.partition("=")
        if not equals or "/" in server:
            if len(servers) != 1:
                raise InvalidInputError(
                    f"--url {quoted(text)}: the plan has {len(servers)} servers; say "
                    f"which, such as {servers[0]}={text}"
                )
            server, address = servers[0], text
        found.setdefault(server, []).append(address)
    return found


def _index(text: str) -> int:
    return int(text)


def _pairs(
    option: str,
    texts: Sequence[str] | None,
    example: str,
    key_of: Callable[[str], Key],
    value_of: Callable[[str], Value],
) -> dict[Key, Value]:
    pairs: dict[Key, Value] = {}
    for text in texts or ():
        left, equals, right = text.rpartition("=")
        try:
            if not equals or not left or not right:
                raise ValueError
            key, value = key_of(left), value_of(right)
        except ValueError as err:
            raise InvalidInputError(f"{option} {quoted(text)}: give {example}") from err
        if key in pairs:
            raise InvalidInputError(f"{option} {quoted(text)}: given twice")
        pairs[key] = value
    return pairs
