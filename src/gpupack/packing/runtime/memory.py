"""How much memory there is for solvers, where a limit (``ulimit -v``) is set.

A solver that gets no memory may end the process without a word: so it is asked before
whether there is any, and as many threads are started as it suffices for.
"""

from __future__ import annotations

import resource
from pathlib import Path

SOLVER_BYTES = 96 * 2**20
"""Of address space, for a solver in a thread of its own. SCIP and CP-SAT take 80 MiB
for small programs: a stack of 8 MiB, and an arena that is aligned to 64 MiB."""
THREAD_BYTES = 80 * 2**20
"""For each further thread: its stack and arena."""
MAX_THREADS = 512
"""More than any machine has cores for; solvers count threads in 32 bits."""
NO_MEMORY = (
    "the search ended early, out of memory: raise the limit of this process "
    "(ulimit -v) for a better answer"
)
_STATM = Path("/proc/self/statm")


class TooLittleMemoryError(MemoryError):
    """The limit of this process leaves too little for a solver, or another thread."""


def spare_bytes() -> int | None:
    """Return how much more address space this process may have; None if unlimited."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(_STATM.read_text().split()[0])
    except (OSError, ValueError, IndexError):  # not Linux
        return None
    return max(0, most - pages * resource.getpagesize())


def require_memory() -> None:
    """Check that there is memory for a solver.

    Raises:
        TooLittleMemoryError: Saying how much there is and how much it takes.
    """
    spare = spare_bytes()
    if spare is not None and spare < SOLVER_BYTES:
        raise TooLittleMemoryError(
            f"cannot allocate memory for a solver: it takes {SOLVER_BYTES // 2**20} "
            f"MiB, and {spare // 2**20} are left of what this process may have "
            "(ulimit -v); raise the limit"
        )


def fitting_threads(wanted: int) -> int:
    """Return how many threads there is memory for, from 1 to as many as wanted.

    At most ``MAX_THREADS``.
    """
    wanted = min(wanted, MAX_THREADS)
    spare = spare_bytes()
    if spare is None:
        return wanted
    return max(1, min(wanted, 1 + (spare - SOLVER_BYTES) // THREAD_BYTES))
