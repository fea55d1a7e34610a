"""The ``gpupack`` command: its subcommands, and what its exit codes mean.

Exit codes: 0 done (proved, or feasible with a warning), 1 a bug (of ``compare``:
placements that differ), 2 bad input,
3 infeasible, 4 a verified placement broke a promise or what runs is not what was
planned, 5 none found in time,
130 interrupted.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import gpupack
from gpupack.cli import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from gpupack.cli.console import log_to_stderr, print_error, print_warning
from gpupack.errors import GpupackError
from gpupack.quoting import quoted
from gpupack.spelling import speak_shell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What standard output fails with when the disk behind it is full or gone."""
NO_MEMORY = (
    "failed to map segment",
    "annot allocate memory",
    "can't start new thread",
)
"""How the loader of libraries, the system and Python say that there is none."""


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


COMMANDS = {
    "place": ("place", "place_command"),
    "recommend": ("recommend", "recommend_command"),
    "init": ("place", "init_command"),
    "frontier": ("frontier", "frontier_command"),
    "explore": ("pages.explore", "explore_command"),
    "report": ("pages.report", "report_command"),
    "compare": ("pages.report", "compare_command"),
    "read-prometheus": ("clusters.read_prometheus", "read_prometheus_command"),
    "rightsize": ("clusters.rightsize", "rightsize_command"),
    "read": ("read", "read_command"),
    "profile": ("profile", "profile_command"),
    "server": ("server", "app"),
    "verify": ("verify", "verify_command"),
    "calibrate": ("verify", "calibrate_command"),
    "deploy": ("clusters.deploy", "deploy_command"),
    "status": ("clusters.deploy", "status_command"),
    "demo": ("demo", "demo_command"),
    "warm-up": ("warm_up", "warm_up_command"),
}
"""Module and function of each command, in the order of the help."""


def app_of(names: Iterable[str]) -> typer.Typer:
    """Return the command line with these commands: each takes time to import."""
    app = typer.Typer(
        name="gpupack",
        cls=_Commands,
        help="Pack inference models onto GPUs: measure them, place them, prove it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=_options,
    )
    for name in names:
        module, function = COMMANDS[name]
        command = getattr(import_module(f"gpupack.cli.commands.{module}"), function)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _asked_for(arguments: Sequence[str]) -> Iterable[str]:
    """Return the commands that a command line needs; all to help, or to complete."""
    words = [one for one in arguments if not one.startswith("-")]
    is_completing = "_GPUPACK_COMPLETE" in os.environ
    if is_completing or not words or words[0] not in COMMANDS:
        return COMMANDS
    return (
        (words[0], "read-prometheus")
        if words[:2] == ["read", "prometheus"]
        else words[:1]
    )


def __getattr__(name: str) -> typer.Typer:
    """Return ``app``, the command line with every command."""
    if name == "app":
        return app_of(COMMANDS)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gpupack {gpupack.__version__}")
        raise typer.Exit


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


def _is_out_of_memory(err: Exception) -> bool:
    """Return whether an error says that memory ran out, in whatever words."""
    words = str(err)
    return isinstance(err, MemoryError) or any(one in words for one in NO_MEMORY)


def _memory_text() -> str:
    """Return that memory ran out, how much there may be, and the way out."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    limit = (
        ""
        if most == resource.RLIM_INFINITY
        else f" of the {most // 1024:,} KiB that this process may have (ulimit -v)"
    )
    return (
        f"out of memory{limit}: raise the limit, or plan fewer models or load points "
        "at once"
    )


def run() -> None:
    """Run the command line; deliberate errors become one message and a code."""
    speak_shell()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is shown escaped.
            stream.reconfigure(errors="backslashreplace")
    try:
        app_of(_asked_for(sys.argv[1:]))()
    except GpupackError as err:
        with suppress(OSError):  # the code says it even where nothing can be printed
            print_error(str(err))
            for note in getattr(err, "__notes__", ()):
                print_warning(note)
        sys.exit(err.exit_code)
    except (MemoryError, ImportError, RuntimeError) as err:
        if not _is_out_of_memory(err):
            raise
        with suppress(OSError):
            print_error(_memory_text())
        sys.exit(EXIT_BAD_INPUT)
    except OSError as err:
        if err.filename is not None:
            # A path that nobody thought could be none, such as one of 300 letters.
            told = (
                f"cannot use {quoted(str(err.filename))}: {err.strerror}; give another"
            )
        elif err.errno == errno.ENOMEM:
            told = _memory_text()
        elif err.errno in NO_ROOM:
            told = f"cannot write the output: {err.strerror}; make room for it"
        else:
            raise
        with suppress(OSError):
            print_error(told)
        sys.exit(EXIT_BAD_INPUT)
