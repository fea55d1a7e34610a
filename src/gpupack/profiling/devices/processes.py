"""Processes of this host: a server's family, and how to name a stranger."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Collection


def descendants(root_pids: Collection[int]) -> set[int]:
    """Return ``root_pids`` and the pids of every process they started, transitively.

    Processes that ended meanwhile, or that may not be looked at, are left out.
    """
    pids = set(root_pids)
    for pid in root_pids:
        with suppress(psutil.Error):
            pids |= {child.pid for child in psutil.Process(pid).children(True)}
    return pids


def describe_process(pid: int, name: str, used_bytes: int | None) -> str:
    """Return one line that tells a process on a GPU from others.

    Args:
        pid: As the driver numbers it.
        name: What the driver calls it; empty if it does not say.
        used_bytes: Device memory it uses, None if the driver does not say.
    """
    if not name:
        with suppress(psutil.Error):
            name = psutil.Process(pid).name()
    words = [f"pid {pid}", name or "name unknown"]
    if used_bytes is not None:
        words.append(f"{mib_from_bytes(used_bytes):.0f} MiB")
    return ", ".join(words)
