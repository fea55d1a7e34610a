"""Time limits and interrupts, where they cut compiled code short."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from ortools.linear_solver import pywraplp
from ortools.sat.python import cp_model

from gpupack.packing.items.patterns.pricing import Pricer
from gpupack.packing.runtime.stoppable import (
    call_all_until,
    call_until,
    ended_by,
    solve_cp_model,
    solve_linear,
    solve_program,
)

LONG_SOLVE = """
import json, random, signal
from gpupack.packing.runtime import warm_up
from gpupack.packing.items.model.problem import ItemType, PackingProblem
from gpupack.packing.items.search.packing_solve import solve

# A parent that ignores interrupts, as a shell does for jobs, hands that down.
signal.signal(signal.SIGINT, signal.default_int_handler)
rng = random.Random(0)
sizes = [tuple(rng.randint(50, 400) for _ in range(5)) for _ in range(200)]
problem = PackingProblem((1000,) * 5, tuple(ItemType(size) for size in sizes))
warm_up.kernels_are_ready(wait_s=300)
print("started", flush=True)
result = solve(problem, time_limit_s=3600, num_workers=2)
print(json.dumps([result.num_bins, result.bound, len(result.bins)]), flush=True)
"""


def test_ctrl_c_ends_a_long_solve_with_what_it_had():
    child = subprocess.Popen(
        [sys.executable, "-c", LONG_SOLVE], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "started\n"
        # Time for heuristics, so that there is a packing, and for a long rung to start.
        time.sleep(2)
        child.send_signal(signal.SIGINT)
        answer, _ = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()

    num_bins, bound, num_listed = json.loads(answer)
    assert child.returncode == 0
    assert 1 <= bound <= num_bins
    assert num_listed <= num_bins


def test_a_deadline_cuts_a_search_that_would_take_years():
    rng = np.random.default_rng(0)
    sizes = rng.integers(10, 90, (300, 8))
    duals = sizes.mean(axis=1) / 1000 * rng.uniform(0.95, 1.05, 300)
    pricer = Pricer(sizes, np.full(8, 1000), deadline=time.perf_counter() + 0.1)

    result = pricer.price(duals, np.ones(300, dtype=np.int64), node_limit=1 << 60)

    assert result.upper_bound == np.inf


def test_a_flag_goes_up_at_the_deadline_only():
    def wait_for(limit_s, flag):
        ends = time.perf_counter() + limit_s
        while time.perf_counter() < ends and not flag[0]:
            time.sleep(0.001)
        return bool(flag[0])

    assert call_until(time.perf_counter() + 0.01, wait_for, 60.0)
    assert not call_until(np.inf, wait_for, 0.01)


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_calls_side_by_side_share_a_flag_and_keep_their_order(num_workers):
    def call(number, flag):
        if number == 1:
            flag[0] = 1  # the others see it and end
        ends = time.perf_counter() + (60.0 if number else 0.0)
        while time.perf_counter() < ends and not flag[0]:
            time.sleep(0.001)
        return number

    functions = [partial(call, number) for number in range(3)]

    found = call_all_until(np.inf, functions, num_workers=num_workers)

    assert found == [0, 1, 2]


def test_what_one_of_several_functions_raises_reaches_the_caller():
    def fail(flag):
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        call_all_until(np.inf, [fail, fail], num_workers=2)


def test_what_the_called_function_raises_reaches_the_caller():
    def fail(flag):
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        call_until(np.inf, fail)


@contextmanager
def ctrl_c(after_s):
    """Press Ctrl-C a while later, as Python sees it by default."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


def pigeonholes(num_holes):
    """One pigeon more than holes: CP-SAT knows nothing that makes it short."""
    model = cp_model.CpModel()
    inside = [
        [model.new_bool_var("") for _ in range(num_holes)] for _ in range(num_holes + 1)
    ]
    for pigeon in inside:
        model.add_bool_or(pigeon)
    for hole in zip(*inside, strict=True):
        for one, first in enumerate(hole):
            for second in hole[one + 1 :]:
                model.add_bool_or(first.negated(), second.negated())
    return model


def cp_solver(time_limit_s):
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.cp_model_presolve = False
    solver.parameters.symmetry_level = 0
    solver.parameters.max_time_in_seconds = time_limit_s
    return solver


def test_ctrl_c_ends_cp_sat_and_reaches_the_caller():
    solver = cp_solver(3600)

    with ctrl_c(0.3), pytest.raises(KeyboardInterrupt):
        solve_cp_model(solver, pigeonholes(14))

    # It has ended, not only been left: there is a response.
    assert solver.wall_time > 0.2


def test_ctrl_c_is_still_pythons_after_cp_sat():
    assert solve_cp_model(cp_solver(3600), pigeonholes(3)) == cp_model.INFEASIBLE

    # It would end this process otherwise, and with it the tests.
    with ctrl_c(0.01), pytest.raises(KeyboardInterrupt):
        time.sleep(60)


def hard_program(num_uses, room):
    """A knapsack of many dimensions, which takes SCIP minutes if large."""
    rng = random.Random(3)
    solver = pywraplp.Solver.CreateSolver("SCIP")
    uses = [solver.BoolVar("") for _ in range(num_uses)]
    for _ in range(25):
        solver.Add(sum(rng.randint(20, 60) * use for use in uses) <= room)
    solver.Maximize(sum(rng.randint(20, 60) * use for use in uses))
    return solver, uses


def test_ctrl_c_ends_scip_and_reaches_the_caller():
    solver, _ = hard_program(3_000, 50_007)

    with ctrl_c(0.3), pytest.raises(KeyboardInterrupt):
        solve_program(solver)


def test_ctrl_c_ends_scip_when_a_program_was_changed_and_is_solved_again():
    solver, uses = hard_program(3_000, 50_007)
    solver.SetTimeLimit(50)
    solve_program(solver, settings="randomization/randomseedshift = 5\n")
    solver.Add(uses[0] <= 0)
    solver.SetTimeLimit(3_600_000)

    with ctrl_c(0.3), pytest.raises(KeyboardInterrupt):
        solve_program(solver, settings="randomization/randomseedshift = 6\n")


def test_scip_keeps_to_the_settings_of_every_solve():
    solver, uses = hard_program(60, 900)

    for left_out in uses[:3]:
        # One node is not enough to prove it; OPTIMAL without the setting.
        first = "limits/totalnodes = 1\n"
        assert solve_program(solver, settings=first) == pywraplp.Solver.FEASIBLE
        solver.Add(left_out <= 0)


def test_a_thread_that_is_to_end_ends_what_it_calls():
    event = threading.Event()
    began, flags = threading.Event(), []

    def search(flag):
        began.set()
        while not flag[0]:
            time.sleep(0.001)
        return "stopped"

    def work():
        with ended_by(event):
            flags.append(call_until(float("inf"), search))

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(60)
    event.set()
    thread.join(60)

    assert flags == ["stopped"]


def test_a_linear_program_that_fails_once_is_tried_again_even_when_time_is_up():
    class Failing:
        def __init__(self):
            self.answers = [pywraplp.Solver.ABNORMAL, pywraplp.Solver.OPTIMAL]

        def SetTimeLimit(self, limit_ms):  # noqa: N802 - as in OR-Tools
            assert limit_ms > 0

        def Solve(self, *_):  # noqa: N802
            return self.answers.pop(0)

    solver = Failing()

    assert solve_linear(solver, deadline=-np.inf)
    assert not solver.answers


def test_a_linear_program_that_grows_goes_on_from_its_last_basis():
    size = 60
    solver = pywraplp.Solver.CreateSolver("GLOP")
    objective = solver.Objective()
    objective.SetMinimization()
    rows = [solver.RowConstraint(1, solver.infinity(), "") for _ in range(size)]

    def add(entries, cost):
        column = solver.NumVar(0, solver.infinity(), "")
        objective.SetCoefficient(column, cost)
        for row in entries:
            rows[row].SetCoefficient(column, 1)

    for row in range(size):
        add([row], 1 + row / size)
        add([row, (7 * row + 1) % size, (11 * row + 3) % size], 1.5 + row / size)
    assert solve_linear(solver, grows=True)
    afresh = solver.iterations()
    value = objective.Value()
    add([1, 2], 0.5)

    assert solve_linear(solver, grows=True)

    assert objective.Value() < value
    assert 0 < solver.iterations() < afresh / 2
