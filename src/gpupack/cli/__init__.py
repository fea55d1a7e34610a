"""The command line: arguments only, the work is done by the library."""

from __future__ import annotations

import gc
import sys

OBJECTS_PER_COLLECTION = 100_000
"""Python looks for garbage after every 700 objects; nearly all that imports and readers
make stays, and looking through it takes a tenth of the time of a small plan."""
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C while it still loads is no traceback either."""
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    try:
        from gpupack.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


__all__ = ["EXIT_INTERRUPTED", "main"]
