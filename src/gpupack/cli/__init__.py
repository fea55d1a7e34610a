"""The command line: arguments only, the work is done by the library."""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C ends it quietly, also while modules still load."""
    try:
        from gpupack.cli import app

        app.main()
    except KeyboardInterrupt:
        # What prints errors may not be there yet, and there is nothing to explain.
        sys.exit(EXIT_INTERRUPTED)


__all__ = ["EXIT_INTERRUPTED", "main"]
