"""Where memory is scarce: fewer threads, no solver, and what was found until then."""

from __future__ import annotations

import resource
import threading

import pytest
from ortools.sat.python import cp_model

from gpupack.packing import (
    BinType,
    CapacityProblem,
    Goal,
    ItemType,
    Job,
    Option,
    PackingProblem,
    PlanStatus,
    plan_capacity,
    solve,
    solve_allowed,
)
from gpupack.packing.capacity import capacity_ladder
from gpupack.packing.items.model import Bin, Ladder, check_result
from gpupack.packing.items.search import packing_solve
from gpupack.packing.runtime import NO_MEMORY, memory, stoppable

MIB = 2**20


def leave(monkeypatch: pytest.MonkeyPatch, spare_bytes: int | None) -> None:
    monkeypatch.setattr(memory, "spare_bytes", lambda: spare_bytes)


def test_without_a_limit_memory_is_not_looked_at() -> None:
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        pytest.skip("this process has a limit")
    assert memory.spare_bytes() is None
    assert memory.fitting_threads(100) == 100
    assert memory.fitting_threads(10**18) == memory.MAX_THREADS


def test_as_many_threads_are_started_as_memory_suffices_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for spare, threads in (
        (0, 1),
        (memory.SOLVER_BYTES, 1),
        (memory.SOLVER_BYTES + memory.THREAD_BYTES - 1, 1),
        (memory.SOLVER_BYTES + memory.THREAD_BYTES, 2),
        (10_000 * MIB, 8),
    ):
        leave(monkeypatch, spare)
        assert memory.fitting_threads(8) == threads


def test_no_solver_is_started_that_would_get_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave(monkeypatch, memory.SOLVER_BYTES - 1)
    with pytest.raises(MemoryError, match=r"96 MiB, and 95 are left.*ulimit -v"):
        stoppable.new_program()
    with pytest.raises(MemoryError):
        stoppable.solve_cp_model(cp_model.CpSolver(), cp_model.CpModel())

    leave(monkeypatch, memory.SOLVER_BYTES)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 8
    assert stoppable.solve_cp_model(solver, cp_model.CpModel()) == cp_model.OPTIMAL
    assert solver.parameters.num_workers == 1


def test_a_thread_without_room_for_its_stack_is_a_lack_of_memory() -> None:
    class Large(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with pytest.raises(MemoryError, match="can't start new thread"):
        stoppable.start(Large())


def test_a_packing_search_without_memory_hands_back_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = PackingProblem((10,), (ItemType((6,)), ItemType((4,)), ItemType((3,))))

    def without(_: object) -> None:
        raise memory.TooLittleMemoryError

    monkeypatch.setattr(packing_solve, "_climb_cheap", _first_packing)
    monkeypatch.setattr(packing_solve, "_climb_dear", without)
    result = solve(problem)
    check_result(problem, result)
    assert NO_MEMORY in result.warnings

    monkeypatch.setattr(packing_solve, "_climb_cheap", without)
    with pytest.raises(MemoryError):
        solve(problem)


def test_a_packing_under_a_rule_is_handed_back_without_memory_for_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Too many items for a search without a solver; no two of a kind may share a bin,
    # and of three kinds no bin may hold all.
    problem = PackingProblem((10,), tuple(ItemType((3,), 10) for _ in range(3)))

    def may(counts: tuple[tuple[int, int], ...]) -> bool:
        return len(counts) < 3 and all(number == 1 for _, number in counts)

    leave(monkeypatch, 0)
    result = solve_allowed(problem, may)

    check_result(problem, result)
    assert all(may(one.counts) for one in result.bins)
    assert result.num_bins > result.bound
    assert NO_MEMORY in result.warnings
    leave(monkeypatch, None)
    assert solve_allowed(problem, may).num_bins == 15


def _first_packing(ladder: Ladder) -> None:
    """Offer a bin for each item, and prove nothing."""
    ladder.offer(tuple(Bin(((index, 1),)) for index in range(ladder.problem.num_types)))


def test_a_plan_without_memory_for_better_ones_is_handed_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = CapacityProblem(
        (BinType((10,)),),
        tuple(Job(demand=3) for _ in range(3)),
        tuple(Option(job, 0, (6,), (0,), 2) for job in range(3)),
    )

    def without(_: object) -> None:
        raise memory.TooLittleMemoryError

    monkeypatch.setattr(capacity_ladder._Search, "_searched", without)
    plan = plan_capacity(problem, Goal.MIN_BINS)
    # Two copies of each job, of which no two share a bin; by volume 4 would do.
    assert (plan.value, plan.status) == (6, PlanStatus.FEASIBLE)
    assert plan.bound <= 6
    assert NO_MEMORY in plan.warnings

    monkeypatch.setattr(capacity_ladder, "starting_plan", lambda *_: None)
    with pytest.raises(MemoryError):
        plan_capacity(problem, Goal.MIN_BINS)
