"""How many CPU cores this process may use: what a container allows, not the host's."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def count_usable_cpus(*, root: Path = Path("/")) -> int:
    """Return how many cores this process, and one that it starts, may use.

    The smallest of the machine's cores, the CPU affinity, and the quota of CPU time of
    the control groups (v1 or v2) that the process is in, rounded up to whole cores.

    Args:
        root: Where ``proc`` and ``sys`` are.

    Returns:
        At least 1.
    """
    usable = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    quotas = [quota for quota in _quotas(root) if quota > 0]
    return max(1, math.ceil(min([usable, *quotas])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, that hold for this process; none where unlimited.

    References:
        https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max) and
        https://docs.kernel.org/scheduler/sched-bwc.html (v1, cpu.cfs_quota_us).
    """
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            for group in _with_parents(mounted, path):
                quota, _, period = _read(group / "cpu.max").partition(" ")
                yield from _ratio(quota, period)
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                for group in _with_parents(mounted / name, path):
                    yield from _ratio(
                        _read(group / "cpu.cfs_quota_us"),
                        _read(group / "cpu.cfs_period_us"),
                    )


def _with_parents(mounted: Path, path: str) -> Iterator[Path]:
    """Yield a group and those it is in; a container often sees only its own, as "/"."""
    group = PurePosixPath(path.lstrip("/"))
    for part in (group, *group.parents):
        yield mounted / part


def _ratio(quota: str, period: str) -> Iterator[float]:
    """Yield quota / period, both in microseconds; nothing for "max", -1 or no file."""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return
    if cores > 0:
        yield cores


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
