"""The restricted master as an integer program: choose among known patterns.

With every pattern that a packing into K bins can use at hand, its answer is a
proof: such a pattern's reduced cost is at most K minus the value of the duals
(scaled to be dual feasible), and only maximal patterns matter when items may be
covered more than once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.items.patterns.frugal_fillings import list_frugal
from gpupack.packing.items.patterns.pricing import round_to_grid
from gpupack.packing.runtime import solve_cp_model

if TYPE_CHECKING:
    from gpupack.packing.items.patterns.column_generation import ColumnGeneration
    from gpupack.packing.items.patterns.simplex import Pattern

MAX_PATTERNS = 60_000
ENUMERATION_NODES = 5_000_000
CONVERGING_ROUNDS = 200
QUICK_NODES = 2_000
MAX_FRUGAL = 2_000
MAX_WASTE = 0.05
"""Of a bin; where more may be wasted, most fillings waste less than that."""
FRUGAL_EFFORT = 0.5


def close_gap(
    generation: ColumnGeneration, *, max_patterns: int, effort: float
) -> list[Pattern] | None:
    """Look for a packing that meets the bound, among all useful patterns if few.

    Args:
        generation: The patterns and duals so far.
        max_patterns: If more are useful, the patterns known have to do.
        effort: CP-SAT's deterministic time to spend, about seconds.

    Returns:
        All useful patterns if they were listed and left it undecided, else None.
    """
    ladder = generation.ladder
    target = ladder.bound
    generation.master.optimize(deadline=ladder.deadline)
    patterns = enumerate_useful(
        generation, target, max_patterns=min(max_patterns, MAX_PATTERNS)
    )
    if ladder.remaining_s < 0.02:
        return None
    status = solve_patterns(
        generation,
        generation.master.patterns if patterns is None else patterns,
        target,
        effort=effort if patterns is None else 10 * effort,
    )
    return _conclude(generation, patterns, target, status)


def close_frugally(generation: ColumnGeneration) -> list[Pattern] | None:
    """Decide whether the bound can be met, if few fillings waste as little as that.

    Needs no linear program: bins that meet the bound can waste only what they
    hold beyond the items, which for items made to fill bins is nothing.

    Returns:
        Those fillings if they are few and left it undecided, else None.
    """
    ladder = generation.ladder
    target = ladder.bound
    problem = ladder.problem
    budget = target * problem.capacities - problem.counts @ problem.sizes
    if ladder.has_many_copies or (budget > MAX_WASTE * problem.capacities).any():
        return None
    patterns = list_frugal(
        problem, target, max_patterns=MAX_FRUGAL, deadline=ladder.deadline
    )
    if patterns is None:
        return None
    status = solve_patterns(generation, patterns, target, effort=FRUGAL_EFFORT)
    return _conclude(generation, patterns, target, status)


def _conclude(
    generation: ColumnGeneration,
    patterns: list[Pattern] | None,
    num_bins: int,
    status: str,
) -> list[Pattern] | None:
    """Raise the bound if all patterns failed; return them if that is unknown."""
    if patterns is None or status == "FOUND":
        return None
    if status == "NONE":
        generation.ladder.raise_bound(num_bins + 1)
        return None
    return patterns


def enumerate_useful(
    generation: ColumnGeneration, num_bins: int, *, max_patterns: int = MAX_PATTERNS
) -> list[Pattern] | None:
    """Return all maximal patterns that a packing into ``num_bins`` can need.

    Let π be duals with every filling worth at most 1. A packing into K bins
    covers the demand b, so Σ_bins (1 − π·a) ≤ K − π·b, and no bin's reduced cost
    1 − π·a exceeds the right-hand side.

    Returns:
        None if they are too many to list.
    """
    # The nearer the duals are to the optimum, the fewer patterns are useful.
    for _ in range(CONVERGING_ROUNDS):
        generation.master.optimize(deadline=generation.ladder.deadline)
        if generation.add_columns(generation.demand, node_limit=QUICK_NODES):
            continue
        duals = round_to_grid(generation.master.duals)
        result = generation.pricer.price(
            duals,
            generation.demand,
            node_limit=ENUMERATION_NODES,
        )
        if not math.isfinite(result.upper_bound):
            return None
        if not generation.master.add(result.patterns):
            break
    else:
        return None
    duals = round_to_grid(duals / max(1.0, result.upper_bound))
    gap = num_bins - float(duals @ generation.demand)
    return generation.pricer.enumerate_maximal(
        duals,
        np.minimum(generation.demand, generation.max_copies),
        threshold=1.0 - gap - 1e-6,
        node_limit=ENUMERATION_NODES,
        max_patterns=max_patterns,
    )


def solve_patterns(
    generation: ColumnGeneration,
    patterns: list[Pattern],
    num_bins: int,
    *,
    effort: float,
) -> str:
    """Look for a cover by at most ``num_bins`` of the patterns.

    Returns:
        "FOUND" (and the ladder has it), "NONE" if there is none, or "UNKNOWN".

    Raises:
        KeyboardInterrupt: If the solve was interrupted.
    """
    from ortools.sat.python import cp_model

    ladder = generation.ladder
    demand = generation.demand.tolist()
    model = cp_model.CpModel()
    uses = []
    covers: list[list[tuple[int, cp_model.IntVar]]] = [[] for _ in demand]
    for number, pattern in enumerate(patterns):
        most = max(-(-demand[item] // count) for item, count in pattern)
        use = model.new_int_var(0, min(most, num_bins), f"p{number}")
        uses.append(use)
        for item, count in pattern:
            covers[item].append((count, use))
    for needed, terms in zip(demand, covers, strict=True):
        if not terms:
            return "NONE"
        model.add(sum(count * use for count, use in terms) >= needed)
    model.add(sum(uses) <= num_bins)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = ladder.remaining_s
    solver.parameters.max_deterministic_time = effort
    solver.parameters.random_seed = ladder.seed
    solver.parameters.num_workers = ladder.num_workers
    solver.parameters.linearization_level = 2
    status = solver.status_name(solve_cp_model(solver, model))
    if status in {"OPTIMAL", "FEASIBLE"}:
        chosen = {
            pattern: int(solver.value(use))
            for pattern, use in zip(patterns, uses, strict=True)
            if solver.value(use)
        }
        ladder.offer(generation.to_packing(chosen))
        return "FOUND"
    return "NONE" if status == "INFEASIBLE" else "UNKNOWN"
