"""The command line: arguments only, the work is done by the library."""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C while it still loads is no traceback either."""
    try:
        from gpupack.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


__all__ = ["EXIT_INTERRUPTED", "main"]
