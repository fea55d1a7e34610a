"""``gpupack server``: the embedded Triton in the user's cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpupack.cli.options.asked import completed_by
from gpupack.cli.progress import progress_bar

app = typer.Typer(
    help="Install, show or remove the embedded Triton server.", no_args_is_help=True
)


@app.command("install")
def install_command(
    *,
    wheel: Annotated[
        Path | None,
        typer.Option(help="The nvidia-pytriton wheel; fetched from PyPI otherwise."),
    ] = None,
    runtimes: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="What runs bare model files, too: onnx, torch, or both with a comma; "
            "builds for the GPU where there is one.",
            autocompletion=completed_by(("onnx", "torch", "onnx,torch")),
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar.")
    ] = False,
) -> None:
    """Install the server into an environment of its own in the user's cache."""
    from gpupack.profiling import (
        ModelRuntime,
        install_runtimes,
        install_server,
        installation_folder,
        runtimes_folder,
    )

    wanted = () if runtimes is None else ModelRuntime.parse_all(runtimes)
    with progress_bar(quiet=quiet) as bar:
        step = bar.install if bar is not None else None
        install_server(wheel=wheel, progress=step)
        if wanted:
            install_runtimes(wanted, progress=step)
    if not quiet:
        typer.echo(f"installed in {installation_folder()}")
        if wanted:
            titles = " and ".join(one.full_name for one in wanted)
            typer.echo(f"{titles} in {runtimes_folder()}")


@app.command("info")
def info_command() -> None:
    """Show whether the server is installed, where, and which Python models run in."""
    from gpupack.profiling import (
        PACKAGE_NAME,
        PACKAGE_VERSION,
        TRITON_VERSION,
        cache_folder,
        check_platform,
        find_installation,
        find_runtimes,
        inspect_python,
        installation_folder,
    )

    check_platform()
    typer.echo(f"server: Triton {TRITON_VERSION} of {PACKAGE_NAME} {PACKAGE_VERSION}")
    typer.echo(f"folder: {installation_folder()}")
    typer.echo(f"logs:   {cache_folder() / 'logs'}")
    found = find_installation()
    if found is None:
        typer.echo("state:  not installed; run `gpupack server install`")
        return
    python = inspect_python(found.python)
    typer.echo("state:  installed")
    typer.echo(f"models: Python {python.version}, {python.executable}")
    runtimes = find_runtimes()
    if runtimes is None:
        typer.echo(
            "files:  installed when needed, or by `gpupack server install --with`"
        )
        return
    builds = ", ".join(
        f"{one.full_name} ({build.upper()} build)"
        for one, build in runtimes.builds.items()
    )
    typer.echo(f"files:  {builds}, {runtimes.python}")


@app.command("remove")
def remove_command() -> None:
    """Remove the server, and what runs model files, from the user's cache."""
    from gpupack.profiling import (
        installation_folder,
        remove_runtimes,
        remove_server,
        runtimes_folder,
    )

    if remove_runtimes():
        typer.echo(f"removed {runtimes_folder()}")
    if remove_server():
        typer.echo(f"removed {installation_folder()}")
    else:
        typer.echo(f"nothing to remove in {installation_folder()}")
