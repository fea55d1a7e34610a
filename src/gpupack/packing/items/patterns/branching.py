"""Branching over listed patterns: SCIP decides whether they hold a packing.

With all useful patterns listed (see ``pattern_program``), an integer program
over them is as good as branch and price without pricing. CP-SAT decides small
ones faster; where the linear program is what cuts, SCIP's branch and bound does.

References:
    Achterberg, "SCIP: solving constraint integer programs", Mathematical
    Programming Computation 1, 2009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.runtime import new_program, solve_program

if TYPE_CHECKING:
    from gpupack.packing.items.patterns.column_generation import ColumnGeneration
    from gpupack.packing.items.patterns.simplex import Pattern

MARGIN = 1e-3
MARGIN_SHARE = 1e-5
"""Above the number of bins allowed, which is whole, and of it: far more than SCIP's
tolerance, which is 1e-6 of a number."""
MAX_SURE_BINS = 50_000
"""Where half a bin is less than that, SCIP's infeasibility proves nothing."""
SETTINGS = """\
limits/solutions = 1
limits/totalnodes = {node_limit}
randomization/randomseedshift = {seed}
"""


def branch(
    generation: ColumnGeneration,
    patterns: list[Pattern],
    num_bins: int,
    *,
    node_limit: int,
) -> bool:
    """Decide whether ``num_bins`` of the patterns cover the demand.

    Args:
        generation: Whose demand and ladder to use.
        patterns: All that a packing into ``num_bins`` can need.
        num_bins: The bound to meet.
        node_limit: Nodes of branch and bound, within the ladder's time.

    Returns:
        Whether it was decided: the ladder has the packing or a higher bound.
    """
    from ortools.linear_solver import pywraplp

    ladder = generation.ladder
    demand = generation.demand.tolist()
    solver = new_program()
    solver.SetTimeLimit(max(1, int(1000 * ladder.remaining_s)))
    margin = min(0.5, max(MARGIN, num_bins * MARGIN_SHARE))
    total = solver.Constraint(0.0, num_bins + margin)
    covers = [solver.Constraint(float(needed), solver.infinity()) for needed in demand]
    objective = solver.Objective()
    uses = []
    for pattern in patterns:
        most = max(-(-demand[item] // count) for item, count in pattern)
        use = solver.IntVar(0, min(most, num_bins), "")
        total.SetCoefficient(use, 1.0)
        objective.SetCoefficient(use, 1.0)
        for item, count in pattern:
            covers[item].SetCoefficient(use, float(count))
        uses.append(use)
    objective.SetMinimization()
    status = solve_program(
        solver,
        settings=SETTINGS.format(node_limit=node_limit, seed=ladder.seed % 2**31),
    )
    if status == pywraplp.Solver.INFEASIBLE:
        if num_bins > MAX_SURE_BINS:
            return False
        ladder.raise_bound(num_bins + 1)
        return True
    if status not in {pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE}:
        return False
    chosen = {
        pattern: round(use.solution_value())
        for pattern, use in zip(patterns, uses, strict=True)
        if use.solution_value() > 0.5
    }
    covered = [0] * len(demand)
    for pattern, copies in chosen.items():
        for item, count in pattern:
            covered[item] += count * copies
    if any(have < needed for have, needed in zip(covered, demand, strict=True)):
        return False
    ladder.offer(generation.to_packing(chosen))
    return True
