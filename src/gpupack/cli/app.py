"""The ``gpupack`` command: its subcommands, and what its exit codes mean.

Exit codes: 0 done (proved, or feasible with a warning), 1 a bug (of ``compare``:
placements that differ), 2 bad input,
3 infeasible, 4 a verified placement broke a promise, 5 none found in time,
130 interrupted.
"""

from __future__ import annotations

import errno
import io
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import gpupack
from gpupack.cli import EXIT_INTERRUPTED
from gpupack.cli.commands import (
    demo,
    frontier,
    place,
    profile,
    read,
    recommend,
    report,
    server,
    verify,
    warm_up,
)
from gpupack.cli.commands.clusters import read_prometheus, rightsize
from gpupack.cli.console import log_to_stderr, print_error, print_warning
from gpupack.errors import GpupackError
from gpupack.quoting import quoted
from gpupack.spelling import speak_shell

EXIT_BAD_INPUT = 2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What standard output fails with when the disk behind it is full or gone."""


class _Commands(TyperGroup):
    """The commands; Ctrl-C in one that has nothing more to say about it is told."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take ``read prometheus`` for ``read-prometheus``, whose options differ."""
        if args[:2] == ["read", "prometheus"]:
            args = ["read-prometheus", *args[2:]]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print_error("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None


app = typer.Typer(
    name="gpupack",
    cls=_Commands,
    help="Pack inference models onto GPUs: measure them, place them, prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("place")(place.place_command)
app.command("recommend")(recommend.recommend_command)
app.command("init")(place.init_command)
app.command("frontier")(frontier.frontier_command)
app.command("report")(report.report_command)
app.command("compare")(report.compare_command)
app.command("read-prometheus")(read_prometheus.read_prometheus_command)
app.command("rightsize")(rightsize.rightsize_command)
app.command("read")(read.read_command)
app.command("profile")(profile.profile_command)
app.add_typer(server.app, name="server")
app.command("verify")(verify.verify_command)
app.command("calibrate")(verify.calibrate_command)
app.command("demo")(demo.demo_command)
app.command("warm-up")(warm_up.warm_up_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gpupack {gpupack.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what is being done.")
    ] = False,
) -> None:
    if verbose:
        log_to_stderr()


def run() -> None:
    """Run the command line; deliberate errors become one message and a code."""
    speak_shell()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is shown escaped.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except GpupackError as err:
        with suppress(OSError):  # the code says it even where nothing can be printed
            print_error(str(err))
            for note in getattr(err, "__notes__", ()):
                print_warning(note)
        sys.exit(err.exit_code)
    except OSError as err:
        if err.filename is not None:
            # A path that nobody thought could be none, such as one of 300 letters.
            told = (
                f"cannot use {quoted(str(err.filename))}: {err.strerror}; give another"
            )
        elif err.errno in NO_ROOM:
            told = f"cannot write the output: {err.strerror}; make room for it"
        else:
            raise
        with suppress(OSError):
            print_error(told)
        sys.exit(EXIT_BAD_INPUT)
