"""``gpupack rightsize``: how many GPUs would do for what runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli.console import print_warning, results
from gpupack.cli.options.asked import PriceOption, SeedOption
from gpupack.cli.options.clusters import ClusterQuery, takes_cluster_options
from gpupack.cli.options.named_values import parse_by_model, parse_named, parse_share
from gpupack.cli.outputs import require_apart
from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from gpupack.observed_cluster import ObservedCluster


@takes_cluster_options
def rightsize_command(
    cluster: Annotated[
        Path | None,
        typer.Argument(
            help="What gpupack read-prometheus --json wrote; or --url or --metrics."
        ),
    ] = None,
    *,
    query: ClusterQuery,
    profiles_path: Annotated[
        str | None,
        typer.Option("--profiles", help="Measured profiles, of some or all models."),
    ] = None,
    headroom: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[RESOURCE=]SHARE",
            help="The share of memory and busy time that may be used: 0.8 (default), "
            "80%, or memory=0.9 for one resource; repeat.",
        ),
    ] = None,
    percentile: Annotated[
        int | None,
        typer.Option(
            help="Of the demand over time: 50, 90, 95, 99; left out, the peak."
        ),
    ] = None,
    price: PriceOption = None,
    time_limit: Annotated[float, typer.Option(help="Seconds for the plan.")] = 10.0,
    seed: SeedOption = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write everything as JSON.")
    ] = None,
    markdown_path: Annotated[
        Path | None, typer.Option("--markdown", help="Write one page of Markdown.")
    ] = None,
    html_path: Annotated[
        Path | None,
        typer.Option("--html", help="Write one page of HTML that needs no network."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings alone.")
    ] = False,
) -> None:
    """Say how many GPUs would do for what runs, and which could be given back.

    Exit codes: 0 done, 2 bad input, 5 no plan found within the time limit.
    """
    from gpupack.cli.options.asked import read_source
    from gpupack.cli.options.sources import source_options
    from gpupack.files import write_text
    from gpupack.planning import rightsize

    require_apart(
        {"--json": json_path, "--markdown": markdown_path, "--html": html_path},
        [cluster, profiles_path, *query.files],
    )
    seen = query.read() if cluster is None else _read(cluster, query)
    found = rightsize(
        seen,
        None if profiles_path is None else read_source(profiles_path, source_options()),
        headroom=_headroom(headroom),
        percentile=percentile,
        prices=parse_by_model("--price", price, "L4=0.71"),
        time_limit_s=time_limit,
        seed=seed or 0,
    )
    if json_path is not None:
        write_text(json_path, found.to_json() + "\n")
    if markdown_path is not None:
        write_text(markdown_path, found.to_markdown())
    if html_path is not None:
        write_text(html_path, found.to_html())
    if not quiet:
        results.print(str(found), markup=False, soft_wrap=True)
    for text in found.warnings:
        print_warning(text)


def _read(path: Path, query: ClusterQuery) -> ObservedCluster:
    from gpupack.store import read_observed_cluster

    if query.says_what:
        raise InvalidInputError(
            f"{path} says what ran and when: leave out --url, --metrics, --window, "
            "--from, --to and --step, or the file"
        )
    return read_observed_cluster(path)


def _headroom(texts: list[str] | None) -> float | dict[str, float]:
    overall, named = parse_named(
        "--headroom", texts, "a share: 0.8, 80% or memory=0.9", number=parse_share
    )
    if not named:
        return 0.8 if overall is None else overall
    plain = 0.8 if overall is None else overall
    return {"memory": plain, "gpu_utilization": plain} | named
