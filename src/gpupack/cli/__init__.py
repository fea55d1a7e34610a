"""The command line: arguments only, the work is done by the library."""

from __future__ import annotations

import gc
import os
import sys

OBJECTS_PER_COLLECTION = 100_000
"""Python looks for garbage after every 700 objects; nearly all that imports and readers
make stays, and looking through it takes a tenth of the time of a small plan."""
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C while it still loads is no traceback either."""
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    # To look for plug-ins pydantic reads what every installed package says of itself.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from gpupack.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


__all__ = ["EXIT_INTERRUPTED", "main"]
