"""Work on the bound and on the plan side by side, where there is more than one core."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpupack.packing.capacity.improving.neighborhoods.reassigning import Reassigner
from gpupack.packing.runtime import call_all_until

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem, Configuration
    from gpupack.packing.capacity.relaxing import Relaxation, Relaxer

    Uses = tuple[tuple[Configuration, int], ...]


def relax_and_serve(
    problem: CapacityProblem,
    relaxer: Relaxer,
    uses: Uses,
    *,
    bound: float,
    deadline: float,
    gap: float,
    target_gap: float,
    seed: int,
) -> tuple[Relaxation, Uses]:
    """Return the relaxation, and a plan that serves as much as the one known, or more.

    The relaxation is one thread's work, in which jobs are placed anew in another.

    Args:
        problem: What is planned, every bin type counted.
        relaxer: Of this problem.
        uses: The plan to start from.
        bound: Proven on the weighted service.
        deadline: On the clock of ``time.perf_counter``, of the relaxer.
        gap: Relative, at which the relaxation ends.
        target_gap: Relative, at which the plan is good enough.
        seed: For every random choice.
    """
    relaxations: list[Relaxation] = []

    def relax(stop: NDArray[np.int8]) -> None:
        try:
            relaxations.append(relaxer.run(target_gap=gap))
        finally:
            stop[0] = 1

    def serve(stop: NDArray[np.int8]) -> None:
        nonlocal uses
        uses = Reassigner(problem, bound=bound, seed=seed).run(
            uses, deadline=deadline, target_gap=target_gap, stop=stop
        )

    call_all_until(max(deadline, time.perf_counter()), [relax, serve], num_workers=2)
    return relaxations[0], uses
