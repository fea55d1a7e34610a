"""The options that say which running cluster is read, and when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from gpupack.records.running.observed_cluster import ObservedCluster

UrlOption = Annotated[
    str | None,
    typer.Option(help="A Prometheus that scrapes Triton: http://HOST:9090."),
]
MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics",
        metavar="[POD=]FILE",
        help="In place of --url, a saved /metrics of Triton or the DCGM exporter; "
        "repeat for several servers (NAMESPACE/POD=FILE) and times.",
    ),
]
WindowOption = Annotated[
    str | None, typer.Option(help="How long to look back: 7d (default), 12h, 30m.")
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Where the window begins: 2026-03-01T12:00, UTC."),
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="Where the window ends; now by default.")
]
StepOption = Annotated[
    str | None,
    typer.Option(help="Each number is the mean of so long: 5m; chosen by default."),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(help="A file with a bearer token, of which nothing is shown."),
]
TlsCaOption = Annotated[
    Path | None, typer.Option(help="Certificates to trust, as a file.")
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds for one query.")]


def read_cluster(
    url: str | None,
    metrics: list[str] | None,
    *,
    window: str | None,
    start: str | None,
    end: str | None,
    step: str | None,
    token_file: Path | None,
    tls_ca: Path | None,
    timeout: float,
) -> ObservedCluster:
    """Return what the options name.

    Raises:
        InvalidInputError: If they name nothing, or both a URL and files.
    """
    from gpupack.importers.prometheus import read_prometheus

    if (url is None) == (not metrics):
        raise InvalidInputError(
            "give --url of a Prometheus, or --metrics with what /metrics said: one of "
            "the two"
        )
    return read_prometheus(
        url,
        texts=_by_pod(metrics) if metrics else None,
        window=window,
        start=start,
        end=end,
        step=step,
        token_file=token_file,
        ca_path=tls_ca,
        timeout_s=timeout,
    )


def _by_pod(metrics: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in metrics:
        pod, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            pod, path = "", text
        found.setdefault(pod, []).append(path)
    return found
