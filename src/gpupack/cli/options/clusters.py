"""The options that say which running cluster is read, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.options.groups import takes_options
from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.observed_cluster import ObservedCluster

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


@dataclass(frozen=True)
class ClusterQuery:
    """Which running cluster is read, and over which time."""

    url: str | None
    metrics: dict[str, list[str]]
    """Files of saved metrics, by pod; empty with a URL."""
    window: str | None
    start: str | None
    end: str | None
    step: str | None
    token_file: Path | None
    tls_ca: Path | None
    timeout: float

    @property
    def files(self) -> list[str]:
        """Paths that are read, and must not be written."""
        token = [] if self.token_file is None else [str(self.token_file)]
        return token + [path for paths in self.metrics.values() for path in paths]

    @property
    def says_what(self) -> bool:
        """Whether it names a cluster or a time at all."""
        times = self.window, self.start, self.end, self.step
        return self.url is not None or bool(self.metrics) or times != (None,) * 4

    def read(self) -> ObservedCluster:
        """Return what runs there.

        Raises:
            InvalidInputError: If it names nothing, or both a URL and files.
        """
        from gpupack.importers.prometheus import read_prometheus

        if (self.url is None) == (not self.metrics):
            raise InvalidInputError(
                "give --url of a Prometheus, or --metrics with what /metrics said: one "
                "of the two"
            )
        return read_prometheus(
            self.url,
            texts=self.metrics or None,
            window=self.window,
            start=self.start,
            end=self.end,
            step=self.step,
            token_file=self.token_file,
            ca_path=self.tls_ca,
            timeout_s=self.timeout,
        )


def cluster_options(
    *,
    url: UrlOption = None,
    metrics: MetricsOption = None,
    window: WindowOption = None,
    start: FromOption = None,
    end: ToOption = None,
    step: StepOption = None,
    token_file: TokenFileOption = None,
    tls_ca: TlsCaOption = None,
    timeout: TimeoutOption = 60.0,
) -> ClusterQuery:
    """Return what the options name; nothing is read yet."""
    return ClusterQuery(
        url,
        _by_pod(metrics or ()),
        window=window,
        start=start,
        end=end,
        step=step,
        token_file=token_file,
        tls_ca=tls_ca,
        timeout=timeout,
    )


takes_cluster_options = takes_options(cluster_options, into="query")
"""Give a command the options of ``cluster_options``, read into its ``query``."""


def _by_pod(metrics: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in metrics:
        pod, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            pod, path = "", text
        found.setdefault(pod, []).append(path)
    return found
