"""Which CPU cores each GPU's server and clients get."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.cpus import count_usable_cpus
from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def usable_cores() -> list[int]:
    """Return the cores that this process may use, hyperthreads of one side by side."""
    cores = sorted(os.sched_getaffinity(0))
    return sorted(cores, key=lambda core: (_first_sibling(core), core))


def share_cores(
    cores: Sequence[int], near: Sequence[Collection[int]]
) -> list[frozenset[int]]:
    """Return each GPU's cores: equally many, none twice, near ones where there are.

    Args:
        cores: What there is, hyperthreads of one core side by side.
        near: For each GPU the cores that its bus is attached to; none where unknown.

    Raises:
        InvalidInputError: There are fewer cores than GPUs.
    """
    num_gpus = len(near)
    num_each = min(len(cores), count_usable_cpus()) // num_gpus
    if num_each < 1:
        raise InvalidInputError(
            f"{num_gpus} GPUs at once need a CPU core each, for server and clients, "
            f"and {min(len(cores), count_usable_cpus())} may be used here: name fewer "
            "GPUs, or allow more cores"
        )
    left = list(cores)
    shares = []
    for own in near:
        # Stable: among equally near ones, siblings stay side by side.
        chosen = sorted(left, key=lambda core: core not in own)[:num_each]
        shares.append(frozenset(chosen))
        left = [core for core in left if core not in chosen]
    return shares


def _first_sibling(core: int) -> int:
    try:
        text = Path(_SIBLINGS.format(core)).read_text(encoding="ascii")
        return int(text.strip().replace("-", ",").split(",")[0])
    except (OSError, ValueError):
        return core
