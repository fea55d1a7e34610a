"""The command line: arguments only, the work is done by the library."""

from __future__ import annotations

import gc
import os
import resource
import sys
from contextlib import suppress

OBJECTS_PER_COLLECTION = 100_000
"""Python looks for garbage after every 700 objects; nearly all that imports and readers
make stays, and looking through it takes a tenth of the time of a small plan."""
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
M_ARENA_MAX = -8
LEAST_BYTES = 160 * 2**20
"""Of address space (``ulimit -v``): 130 MiB are taken with numpy, without threads."""


def main() -> None:
    """Run the command line; Ctrl-C while it still loads is no traceback either."""
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        if most < LEAST_BYTES:
            # Not even an import could say so: it fails in some library, in its words.
            sys.stderr.write(
                f"error: out of memory: gpupack takes {LEAST_BYTES // 1024:,} KiB, and "
                f"this process may have {most // 1024:,} (ulimit -v); raise the limit\n"
            )
            sys.exit(EXIT_BAD_INPUT)
        _take_little_address_space()
    try:
        from gpupack.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


def _take_little_address_space() -> None:
    """Let threads take what they use, not what they may yet use."""
    # Each of its threads takes memory when numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with suppress(OSError, AttributeError):  # not glibc, whose malloc.h this is of
        import ctypes

        # Otherwise 64 MiB are set aside for each thread.
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


__all__ = ["EXIT_BAD_INPUT", "EXIT_INTERRUPTED", "LEAST_BYTES", "main"]
