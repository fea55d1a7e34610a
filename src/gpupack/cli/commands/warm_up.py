"""``gpupack warm-up``: build what planning at full strength needs."""

from __future__ import annotations

import time

import typer


def warm_up_command() -> None:
    """Build the compiled searches, where installing gpupack did not.

    They are kept beside the package or, if that cannot be written to, in the user's
    cache ($XDG_CACHE_HOME/gpupack or ~/.cache/gpupack). Takes seconds the first time,
    and nothing where they are there.
    """
    from gpupack.cli.console import errors
    from gpupack.packing import build_kernels

    started = time.perf_counter()
    with errors.status("compiling"):
        path = build_kernels()
    seconds = time.perf_counter() - started
    typer.echo(f"compiled searches ready after {seconds:.1f} s: {path}")
