"""Where messages go: results to standard output, everything else to standard error."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.text import Text

from gpupack.quoting import printable

results = Console(highlight=False)
"""For results: bars and colours in a terminal, plain text when piped."""

errors = Console(stderr=True, highlight=False, soft_wrap=True)
"""For errors, warnings and progress; rich honours NO_COLOR and pipes."""


def log_to_stderr() -> None:
    """Show on standard error what gpupack does, as it does it; others' logs are not."""
    from rich.logging import RichHandler

    logger = logging.getLogger("gpupack")
    if not any(isinstance(one, RichHandler) for one in logger.handlers):
        logger.addHandler(
            RichHandler(console=errors, show_path=False, log_time_format="%H:%M:%S")
        )
    logger.setLevel(logging.DEBUG)


def print_error(message: str) -> None:
    """Print an error in one paragraph; its text is never taken for markup."""
    errors.print(Text.assemble(("error: ", "bold red"), _harmless(message)))


def print_warning(message: str) -> None:
    """Print a warning in one paragraph; its text is never taken for markup."""
    errors.print(Text.assemble(("warning: ", "bold yellow"), _harmless(message)))


def _harmless(message: str) -> str:
    """Return a message without characters that a terminal would obey."""
    return printable(message, keep="\n\t")
