"""Where messages go: results to standard output, everything else to standard error."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

results = Console(highlight=False)
"""For results: bars and colours in a terminal, plain text when piped."""

errors = Console(stderr=True, highlight=False, soft_wrap=True)
"""For errors, warnings and progress; rich honours NO_COLOR and pipes."""


def print_error(message: str) -> None:
    """Print an error in one paragraph; its text is never taken for markup."""
    errors.print(Text.assemble(("error: ", "bold red"), message))


def print_warning(message: str) -> None:
    """Print a warning in one paragraph; its text is never taken for markup."""
    errors.print(Text.assemble(("warning: ", "bold yellow"), message))
