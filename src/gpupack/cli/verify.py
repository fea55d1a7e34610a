"""``gpupack verify`` and ``gpupack calibrate``: does a placement hold?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli.console import print_error
from gpupack.errors import InvalidInputError

EXIT_BROKEN = 4
"""A promise of the placement was broken."""


def verify_command(
    placement: Annotated[Path, typer.Argument(help="A placement written by place.")],
    *,
    model_repository: Annotated[
        Path | None, typer.Option(help="Folder of models, for the embedded server.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="A running Triton without loaded models.")
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="GPUs of the placement to run, such as 0,2; all if left out."
        ),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="The GPU of this machine to run them on.")
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
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse other processes on the GPU.")
    ] = False,
    server_python: Annotated[
        Path | None, typer.Option(help="The Python that models run in.")
    ] = None,
) -> None:
    """Run the GPUs of a placement and judge its promises.

    Exit codes: 0 every promise kept, 2 bad input, 4 a promise broken.
    """
    from gpupack.deploy.verify import verify
    from gpupack.store import read_placement

    result = verify(
        read_placement(placement),
        model_repository=model_repository,
        server=url,
        gpu_indices=_indices(gpus),
        gpu=gpu,
        store=store,
        tolerance=tolerance,
        strict=strict,
        server_python=server_python,
        progress=lambda text: typer.echo(text, err=True),
    )
    typer.echo(str(result))
    if not result.is_kept:
        print_error("a promise of the placement was broken")
        raise typer.Exit(EXIT_BROKEN)


def calibrate_command(
    verifications: Annotated[
        Path, typer.Argument(help="What verify --store wrote, with shared GPUs in it.")
    ],
    *,
    profiles: Annotated[
        Path, typer.Option(help="The profile file that place() reads; appended to.")
    ],
) -> None:
    """Fit how strongly models slow each other down, for place() to use."""
    from gpupack.deploy.calibrate import calibrate
    from gpupack.store import append_record, read_profile_file, read_verifications

    read_profile_file(profiles)  # complain before anything is written
    found = calibrate(read_verifications(verifications))
    append_record(profiles, found)
    typer.echo(
        f"{found.gpu_type_name}, {found.sharing_mode}: contention factor "
        f"{found.contention_factor:g} from {found.num_sets} sets, mean error "
        f"{100 * (found.mean_absolute_error_ratio or 0):.1f} points"
    )


def _indices(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as err:
        raise InvalidInputError(
            f"--gpus {text!r}: whole numbers with commas, such as 0,2"
        ) from err
