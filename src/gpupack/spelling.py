"""How messages spell what the reader can set: arguments in Python, flags in the shell.

A message names a setting through ``setting()``; which spelling that gives is decided
once per process or task, by whoever talks to the reader: the command line calls
``speak_shell()``.
"""

from __future__ import annotations

from contextvars import ContextVar

_FLAG_BY_ARGUMENT = {
    "budgets": "--budget",
    "columns": "--column",
    "gpu_products": "--gpu-product",
    "gpu_uuids": "--gpu-uuid",
    "latency_limit_ms": "--latency-limit",
    "max_price_per_hour": "--max-price",
    "mps_shares_percent": "--mps-share",
    "ports": "--port",
    "prices": "--price",
    "reserved_prices": "--reserved-price",
    "server_batching_delay_us": "--server-batching-delay",
    "shared_memory_mib": "--shared-memory",
    "time_limit_s": "--time-limit",
    "total_time_limit_s": "--total-time-limit",
    "units": "--unit",
    "weights": "--weight",
}
"""Flags that are not just the argument's name with dashes."""

_speaks_shell: ContextVar[bool] = ContextVar("speaks_shell", default=False)


def speak_shell() -> None:
    """Spell settings as the command line does, from here on in this context."""
    _speaks_shell.set(True)


def in_words_of(*, python: str, shell: str) -> str:
    """Return a text in the words of whoever reads it, where a setting is not enough."""
    return shell if _speaks_shell.get() else python


def flag_of(argument: str) -> str:
    """Return the command line's option for an argument of ``place()``."""
    return _FLAG_BY_ARGUMENT.get(argument, "--" + argument.replace("_", "-"))


def setting(
    argument: str,
    value: object = None,
    *,
    python: str | None = None,
    shell: str | None = None,
) -> str:
    """Return how a reader writes a setting: ``seed=1``, or ``--seed 1`` in the shell.

    Args:
        argument: Its name as an argument of ``place()`` or ``frontier()``.
        value: What to set it to; None where only the setting is named.
        python: The value in Python's words, where it is not that of ``value``.
        shell: The value in the shell's words, likewise.
    """
    if not _speaks_shell.get():
        text = python or (None if value is None else repr(value))
        return argument if text is None else f"{argument}={text}"
    flag = flag_of(argument)
    if shell is not None:
        return f"{flag} {shell}"
    if value is None or value is True:
        return flag
    if value is False:
        return flag.replace("--", "--no-", 1)
    return f"{flag} {value}"
