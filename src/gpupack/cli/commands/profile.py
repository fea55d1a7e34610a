"""``gpupack profile``: measure models on a Triton server."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpupack.cli import EXIT_INTERRUPTED
from gpupack.cli.console import print_error, print_warning
from gpupack.cli.options.measuring import Measuring, takes_measuring_options
from gpupack.cli.options.model_files import ModelFiles, takes_model_file_options
from gpupack.cli.progress import progress_bar
from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpupack.profile_set import ProfileSet

EXIT_BAD_INPUT = 2


@takes_measuring_options
@takes_model_file_options
def profile_command(
    *,
    model_files: ModelFiles,
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "--model-names",
            help="Names, such as a,b; the whole repository if left out.",
        ),
    ] = None,
    batch: Annotated[
        str, typer.Option(help="Batch sizes: inputs per request.")
    ] = "1,2,4",
    concurrency: Annotated[
        str | None,
        typer.Option(
            help="Concurrencies: requests kept in flight; 1,2,4 if left out, none of "
            "them with --request-rate."
        ),
    ] = None,
    request_rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATES",
            help="Requests sent a second, answered or not, such as 50,100: latencies "
            "are then those of requests that arrive.",
        ),
    ] = None,
    instances: Annotated[
        str | None,
        typer.Option(
            help="Copies of each model that the server runs, each count a variant of "
            "its own, such as 1,2; what its configuration says if left out.",
        ),
    ] = None,
    loads: Annotated[
        int | None,
        typer.Option(
            help="Load each model so many times, each with a fresh server, so that the "
            "intervals hold what varies from load to load; if left out, a second load "
            "of one point finds out whether one is enough.",
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            metavar="GPU,…",
            help="Several GPUs of one type that share the work, such as 0,1,2,3, each "
            "with a server, clients and CPU cores of its own; with --ray, GPU types.",
        ),
    ] = None,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded", help="Start a Triton of our own (the default without --url)."
        ),
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option(
            help="File for the records, one JSON line each, as they come; the same "
            "command goes on where it was stopped. profiles.jsonl here if left out."
        ),
    ] = None,
    export_path: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the three CSV tables; without --store the records are "
            "kept there too."
        ),
    ] = None,
    export: Annotated[
        bool,
        typer.Option(
            "--export",
            help="Write the three CSV tables, here where --export-path names no other "
            "folder.",
        ),
    ] = False,
    sharing: Annotated[
        str | None,
        typer.Option(
            help="How the server's processes share the GPU: time_slicing, mps or "
            "streams; mps puts a private MPS daemon under the embedded server."
        ),
    ] = None,
    probe: Annotated[
        bool | None,
        typer.Option(
            "--probe/--no-probe",
            help="Also run a probe beside each model, which predictions of shared GPUs "
            "rest on; by default beside the embedded server's models on a GPU.",
        ),
    ] = None,
    helpers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=NAME,…",
            help="Models that MODEL calls in its own code, loaded with it; repeat. An "
            "ensemble's steps, and what a failed call names, need not be given.",
        ),
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[MODEL=]NUMBER",
            help="Version to measure, of every model or of one; repeat.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="auto|local|HOST:PORT",
            help="Measure on the machines of a Ray cluster, on every GPU type that it "
            "has or that --gpu names: the cluster of this machine, a new one here, or "
            "the one with that head node. Needs gpupack[ray].",
        ),
    ] = None,
    measuring: Measuring,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Measure again what failed before."),
    ] = False,
    retry_unstable: Annotated[
        bool,
        typer.Option(
            "--retry-unstable", help="Measure again what did not settle before."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")
    ] = False,
) -> None:
    """Measure each model alone, at every batch size × concurrency.

    The models are files (gpupack profile resnet50.onnx), those of a repository
    (--model-repository), or those of a running Triton (--url).

    Exit codes: 0 done (failed load points are listed), 2 server lost, nothing measured,
    or a model that was asked for wrongly at every load point, 130 interrupted.
    """
    from gpupack.profiling import profile, profile_on_ray
    from gpupack.store import PROFILE_FILE

    server = measuring.server
    if server.url is not None and (embedded or server.model_repository is not None):
        raise InvalidInputError(
            "--url names a running server, with a repository of its own: leave out "
            "--embedded and --model-repository"
        )
    if model_files.paths and (server.url or server.model_repository or models):
        raise InvalidInputError(
            "model files get a repository and a server of their own: leave out --url, "
            "--model-repository and --models, or the files"
        )
    if measuring.is_bare_share and measuring.precision is not None:
        share = measuring.precision
        print_warning(
            f"--precision {share:g} is a share, {100 * share:g}%, as in gpupack "
            f"verify; it was {share:g}% in earlier versions: write it with a percent "
            "sign"
        )
    asked = {
        name: value
        for name, value in {
            "concurrency": None
            if concurrency is None
            else _counts("--concurrency", concurrency),
            "request_rates": None
            if request_rate is None
            else _rates("--request-rate", request_rate),
            "arrivals": measuring.arrivals,
            "instances": None
            if instances is None
            else _counts("--instances", instances),
            "files": model_files.options,
        }.items()
        if value is not None
    }
    if export and export_path is None:
        export_path = Path()
    notice = None
    if store is None:
        # Measurements take minutes of a GPU: they are never thrown away.
        store = export_path / PROFILE_FILE if export_path else Path(PROFILE_FILE)
        notice = f"records are kept in {store}; --store names another file"
    try:
        with progress_bar(quiet=quiet, notice=notice) as bar:
            measure = (
                partial(profile, install_progress=bar.install if bar else None)
                if ray is None
                else partial(profile_on_ray, ray)
            )
            profiles = measure(
                models=model_files.paths or _names(models),
                server=server,
                batch_sizes=_counts("--batch", batch),
                gpus=_gpus(gpus),
                loads=loads,
                **asked,
                store=store,
                export_path=export_path,
                sharing=sharing,
                probe=probe,
                strict=measuring.strict,
                options=measuring.options,
                inputs=measuring.inputs,
                helpers=_helpers(helpers),
                versions=_versions(version),
                retry_failed=retry_failed,
                retry_unstable=retry_unstable,
                command=shlex.join(["gpupack", *sys.argv[1:]]),
                progress=bar,
            )
    except KeyboardInterrupt:
        print_error(_interrupted(store))
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _show(profiles, store=store, export_path=export_path, quiet=quiet)
    if _lacks_what_was_asked(profiles):
        raise typer.Exit(EXIT_BAD_INPUT)


def _interrupted(store: Path) -> str:
    """What is kept of an interrupted sweep, if anything was measured yet."""
    if not (store.exists() and store.stat().st_size):
        return "interrupted"
    return (
        f"interrupted; every finished load point is in {store}: run the same "
        "command again to go on"
    )


def _lacks_what_was_asked(profiles: ProfileSet) -> bool:
    """Whether the server was lost, or a model asked for wrongly at every load point.

    A batch size that a model does not take is no error where it takes others.
    """
    from gpupack.profiling import RETRIED_STAGES, SERVER_STAGE

    measured = {record.model_name for record in profiles.records}
    return not measured or any(
        failure.stage in RETRIED_STAGES
        and (failure.stage == SERVER_STAGE or failure.model_name not in measured)
        for failure in profiles.failures
    )


def _show(
    profiles: ProfileSet, *, store: Path, export_path: Path | None, quiet: bool
) -> None:
    if not quiet:
        # Without the failures: they are warnings, below, also when quiet.
        typer.echo(str(profiles.model_copy(update={"failures": ()})))
        for path in (store, export_path):
            if path is not None:
                typer.echo(f"written to {path}")
    concerned: dict[str, list[str]] = {}
    for record in profiles.records:
        for text in record.warnings:
            where = f"{record.model_name} {record.load_point}"
            concerned.setdefault(text, []).append(where)
    for text, places in sorted(concerned.items()):
        print_warning(f"{', '.join(places)}: {text}")
    causes: dict[tuple[str, str, str], list[str]] = {}
    for one in profiles.failures:
        cause = one.model_name, one.stage, one.message
        causes.setdefault(cause, []).append(str(one.load_point))
    for (model_name, stage, message), points in causes.items():
        print_warning(
            f"{model_name} {', '.join(points)} failed ({stage}): {_tidy(message)}"
        )
    for text in _ways_on(profiles):
        print_warning(text)


def _ways_on(profiles: ProfileSet) -> Iterator[str]:
    """Tell how to measure again what did not settle, and what failed for good."""
    from gpupack.profiling import RETRIED_STAGES

    num_unstable = sum(record.is_stable is False for record in profiles.records)
    if num_unstable:
        yield (
            f"{num_unstable} of {len(profiles)} load points did not settle, and place "
            "leaves them out: measure them again with --retry-unstable and a higher "
            "--max-seconds"
        )
    failed = [one for one in profiles.failures if one.stage not in RETRIED_STAGES]
    if failed:
        yield (
            f"{len(failed)} load points failed: the same command leaves them as they "
            "are, and measures them again with --retry-failed"
        )


def _tidy(message: str) -> str:
    """Return a message whose further lines, such as a log's, are set apart."""
    lines = [line.rstrip() for line in message.splitlines() if line.strip()]
    return "\n    ".join(lines)


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidInputError("--models: name at least one, such as a,b")
    return names


def _gpus(text: str | None) -> list[str] | None:
    if text is None:
        return None
    found = [one.strip() for one in text.split(",") if one.strip()]
    if not found:
        raise InvalidInputError("--gpus: name at least one, such as 0,1")
    return found


def _helpers(options: list[str] | None) -> dict[str, list[str]]:
    needed: dict[str, list[str]] = {}
    for option in options or ():
        model_name, equals, names = option.partition("=")
        found = [name.strip() for name in names.split(",") if name.strip()]
        if not equals or not model_name or not found:
            raise InvalidInputError(
                f"--helpers {quoted(option)}: give MODEL=NAME, such as "
                "pipeline=tokenizer,encoder"
            )
        needed.setdefault(model_name, []).extend(found)
    return needed


def _versions(options: list[str] | None) -> dict[str, int]:
    versions = {}
    for option in options or ():
        model_name, _, number = option.rpartition("=")
        if not number.isdecimal() or int(number) < 1:
            raise InvalidInputError(
                f"--version {quoted(option)}: give a whole number from 1, or "
                "MODEL=NUMBER"
            )
        versions[model_name] = int(number)
    return versions


def _rates(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as err:
        raise InvalidInputError(
            f"{option} {quoted(text)}: give requests per second with commas, such as "
            "50,100"
        ) from err


def _counts(option: str, text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError as err:
        raise InvalidInputError(
            f"{option} {quoted(text)}: give whole numbers with commas, such as 1,2,4"
        ) from err
    if min(counts) < 1:
        raise InvalidInputError(f"{option} {quoted(text)}: every number is at least 1")
    return counts
