"""``gpupack verify`` and ``gpupack calibrate``: does a placement hold?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli import EXIT_INTERRUPTED
from gpupack.cli.console import print_error
from gpupack.cli.options.measuring import (
    Measuring,
    ServerRootOption,
    takes_round_options,
)
from gpupack.cli.progress import progress_bar
from gpupack.errors import InvalidInputError, StoreError
from gpupack.quoting import quoted
from gpupack.records.environment import SharingMode

EXIT_BROKEN = 4
"""A promise of the placement was broken."""
EXIT_NOT_KNOWN = 5
"""None was seen to be broken, but not all could be judged in time."""


@takes_round_options
def verify_command(
    placement: Annotated[Path, typer.Argument(help="A placement written by place.")],
    *,
    deployment: Annotated[
        Path | None,
        typer.Option(
            help="What deploy wrote for triton or compose, whose servers run on this "
            "host: its models are measured where they are."
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="GPUs of the placement to run, such as 0,2; all if left out."
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            help="File of results; the same command goes on where it stopped."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Share of a promise that may be missing.")
    ] = 0.1,
    measuring: Measuring,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")
    ] = False,
) -> None:
    """Run the GPUs of a placement and judge its promises.

    Rounds of each model alone and all together, in random order, until it is known what
    every model keeps. A promise is kept, broken by neighbors, broken because the model
    is slower alone than profiled, or not known.

    Exit codes: 0 every promise kept, 2 bad input, 4 a promise broken, 5 none broken but
    not all known, 130 interrupted.
    """
    from gpupack.store import read_placement
    from gpupack.verifying import DEFAULT_PRECISION, verify

    placed = read_placement(placement)
    indices = _indices(gpus)
    try:
        with progress_bar(quiet=quiet) as bar:
            if bar is not None:
                bar.begin(len(placed.gpus if indices is None else set(indices)), 0)
            result = verify(
                placed,
                server=measuring.server,
                gpu_indices=indices,
                deployment=deployment,
                store=store,
                tolerance=tolerance,
                precision=measuring.precision or DEFAULT_PRECISION,
                max_seconds=measuring.max_seconds,
                strict=measuring.strict,
                arrivals=measuring.arrivals,
                options=measuring.options,
                inputs=measuring.inputs,
                progress=bar.working if bar is not None else None,
                on_gpu=bar.verified if bar is not None else None,
                install_progress=bar.install if bar is not None else None,
            )
    except KeyboardInterrupt:
        if store is None:
            raise
        print_error(
            f"interrupted; every finished GPU is in {store}: run the same command "
            "again to go on"
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if not quiet:
        typer.echo(str(result))
    if result.is_broken:
        print_error("a promise of the placement was broken")
        raise typer.Exit(EXIT_BROKEN)
    if not result.is_kept:
        print_error(
            "whether every promise is kept is not known: give it more time "
            "(--max-seconds)"
        )
        raise typer.Exit(EXIT_NOT_KNOWN)


def calibrate_command(
    verifications: Annotated[
        Path | None,
        typer.Argument(
            help="What verify --store wrote, with shared GPUs in it; or Model "
            "Analyzer's export of models that were profiled concurrently."
        ),
    ] = None,
    *,
    profiles: Annotated[
        Path,
        typer.Option(
            help="The profile file that gpupack place reads; appended to. With "
            "--quick it is made if there is none."
        ),
    ],
    sharing: Annotated[
        str | None,
        typer.Option(
            help="How models shared the GPU, for an export, which does not say: "
            "streams (several in one Triton), time_slicing or mps. With --quick, the "
            "one way to measure; both where MPS is installed if left out."
        ),
    ] = None,
    is_quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Measure models that come with gpupack on this machine's GPU instead: "
            "no file and no model repository needed.",
        ),
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="For --quick: how long to measure; 5.")
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="For --quick: index, GPU:MIG indices, UUID, or host, to try it out."
        ),
    ] = None,
    server_python: Annotated[
        Path | None,
        typer.Option(help="For --quick: Python, with NumPy, that models run in."),
    ] = None,
    server_root: ServerRootOption = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar.")
    ] = False,
) -> None:
    """Fit how strongly models slow each other down, for place() to use.

    Exit codes: 0 done, 2 bad input, no GPU, or one that others use.
    """
    if is_quick:
        if verifications is not None:
            raise InvalidInputError(
                "--quick measures by itself: leave the file "
                f"{quoted(str(verifications))} out, or --quick"
            )
        _calibrate_quickly(
            profiles,
            sharing=sharing,
            minutes=minutes,
            gpu=gpu,
            python=server_python,
            root=server_root,
            quiet=quiet,
        )
        return
    for name, value in (
        ("--minutes", minutes),
        ("--gpu", gpu),
        ("--server-python", server_python),
        ("--server-root", server_root),
    ):
        if value is not None:
            raise InvalidInputError(
                f"{name} is for --quick, which measures; add --quick, or leave it out"
            )
    if verifications is None:
        raise InvalidInputError(
            "give what `gpupack verify --store` wrote of your own models, or --quick "
            "to measure models that come with gpupack on this machine's GPU"
        )
    _calibrate_by(verifications, profiles, sharing)


def _calibrate_by(verifications: Path, profiles: Path, sharing: str | None) -> None:
    """Fit to what was measured before, and append it to the profile file."""
    from gpupack.importers.model_analyzer.colocations import is_export, read_colocations
    from gpupack.store import (
        open_profile_file,
        read_profile_file,
        read_verifications,
        record_line,
    )
    from gpupack.verifying import calibrate

    try:
        alone = read_profile_file(profiles)  # complain before anything is written
    except StoreError as err:
        raise StoreError(
            f"--profiles: {err}. The calibration is appended to a profile file that "
            "gpupack wrote; make one of a table with gpupack read table.csv "
            "--to profiles.jsonl"
        ) from err
    if is_export(verifications):
        mode = _sharing_mode(sharing)
        found = calibrate((), read_colocations(verifications, alone, mode))
    else:
        found = calibrate(read_verifications(verifications))
    with open_profile_file(profiles, option="--profiles") as file:
        read_profile_file(profiles)
        file.append(record_line(found))
    typer.echo(
        f"{found.gpu_type_name}, {found.sharing_mode}: contention factor "
        f"{found.contention_factor:g} from {found.num_sets} sets, mean error "
        f"{100 * (found.mean_absolute_error_ratio or 0):.1f} points"
    )


def _calibrate_quickly(
    profiles: Path,
    *,
    sharing: str | None,
    minutes: float | None,
    gpu: str | None,
    python: Path | None,
    root: Path | None,
    quiet: bool,
) -> None:
    """Measure the reference models, and append what they show to the profile file."""
    from gpupack.profiling import ServerOptions
    from gpupack.store import open_profile_file, read_profile_file, record_line
    from gpupack.verifying import DEFAULT_MINUTES, quick_calibrate

    # Minutes of measuring are not to end at a file that cannot be written.
    with open_profile_file(profiles, option="--profiles") as file:
        if profiles.stat().st_size:
            read_profile_file(profiles)
        with progress_bar(quiet=quiet) as bar:
            if bar is not None:
                bar.begin(1, 0)
            found = quick_calibrate(
                server=ServerOptions(python=python, root=root),
                gpu=gpu,
                sharing=sharing,
                minutes=DEFAULT_MINUTES if minutes is None else minutes,
                progress=bar.working if bar is not None else None,
                install_progress=bar.install if bar is not None else None,
            )
        for calibration in found.calibrations:
            file.append(record_line(calibration))
    typer.echo(str(found))
    if found.calibrations:
        typer.echo(f"stored in {profiles}, where place() finds it")


def _sharing_mode(text: str | None) -> SharingMode:
    if text is None:
        raise InvalidInputError(
            "an export does not say how models shared the GPU; say it: --sharing "
            "streams for several in one Triton, time_slicing or mps for processes"
        )
    return SharingMode.parse(text)


def _indices(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as err:
        raise InvalidInputError(
            f"--gpus {quoted(text)}: whole numbers with commas, such as 0,2"
        ) from err
