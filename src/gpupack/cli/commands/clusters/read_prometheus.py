"""``gpupack read-prometheus``: what a running cluster does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli.console import print_warning, results
from gpupack.cli.options.clusters import ClusterQuery, takes_cluster_options
from gpupack.cli.outputs import require_apart


@takes_cluster_options
def read_prometheus_command(
    *,
    query: ClusterQuery,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write it as JSON, for gpupack rightsize."),
    ] = None,
    profiles_path: Annotated[
        Path | None,
        typer.Option("--profiles", help="Write the estimates as a file of profiles."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings alone.")
    ] = False,
) -> None:
    """Read what runs now: demand over time, which model is on which GPU, estimates.

    Exit codes: 0 read, 2 it cannot be.
    """
    from gpupack.profile_set import ProfileSet
    from gpupack.report.page.rightsizing import format_cluster
    from gpupack.store import write_observed_cluster, write_profiles

    require_apart({"--json": json_path, "--profiles": profiles_path}, query.files)
    cluster = query.read()
    if json_path is not None:
        write_observed_cluster(cluster, json_path)
    if profiles_path is not None:
        estimates = ProfileSet(records=cluster.estimates, baselines=cluster.baselines)
        write_profiles(estimates, profiles_path)
    if not quiet:
        results.print(format_cluster(cluster), markup=False, soft_wrap=True)
    for text in cluster.warnings:
        print_warning(text)
