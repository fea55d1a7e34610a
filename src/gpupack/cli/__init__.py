"""The command line: arguments only, the work is done by the library."""

from gpupack.cli.app import main

__all__ = ["main"]
