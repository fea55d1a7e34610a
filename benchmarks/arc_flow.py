"""VPSolver as a peer: its compressed arc-flow graph, and a solver for the model.

VPSolver brings no solver of mixed-integer programs. Users without a commercial one
take CBC, if it is installed, or HiGHS.

References:
    Brandão and Pedroso, "Bin packing and related problems: general arc-flow formulation
    with graph compression", Computers & Operations Research 69, 2016.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.solver_outcome import Outcome, SolverMissingError
from gpupack.packing import PackingProblem, canonicalize, format_vbp

GRACE_S = 0.5
"""Beyond the limit, for a solver that ends by itself."""


def solve_vpsolver(
    problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
) -> Outcome:
    """Run VPSolver, its model solved by CBC."""
    _find("cbc", "apt install coinor-cbc")

    def solve_model(model: Path, left_s: float) -> Outcome:
        command = ["cbc", model.name, "-threads", str(workers)]
        done = subprocess.run(
            [*command, "-sec", f"{left_s:.1f}", "-solve"],
            cwd=model.parent,
            capture_output=True,
            text=True,
            timeout=left_s + GRACE_S,
            check=True,
        )
        return _outcome_of_cbc(done.stdout)

    return _solve(problem, time_limit_s, solve_model)


def solve_vpsolver_highs(
    problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
) -> Outcome:
    """Run VPSolver, its model solved by the HiGHS inside OR-Tools, on one thread.

    In a process of its own, which ends at the limit; its start is not counted.
    """
    program = Path(__file__).with_name("solve_mps.py")

    def solve_model(model: Path, left_s: float) -> Outcome:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, program, model, str(left_s)],
            capture_output=True,
            text=True,
            timeout=left_s + GRACE_S + START_S,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        overhead = time.perf_counter() - started - found["seconds"]
        return Outcome(found["value"], found["bound"], -overhead, found["status"])

    return _solve(problem, time_limit_s, solve_model)


START_S = 5.0
"""In which the process that solves a model is sure to have started."""


def _solve(
    problem: PackingProblem,
    time_limit_s: float,
    solve_model: Callable[[Path, float], Outcome],
) -> Outcome:
    """Build the graph and its model, and have it solved in the time that is left.

    The seconds in what ``solve_model`` returns are added to those that it took.
    """
    for program in ("vbp2afg", "afg2mps"):
        _find(program, "pip install pyvpsolver")
    started = time.perf_counter()

    def left() -> float:
        return max(0.05, time_limit_s - (time.perf_counter() - started))

    stage = ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.vbp").write_text(format_vbp(canonicalize(problem).problem))
        try:
            for stage, given, made in (
                ("vbp2afg", "a.vbp", "a.afg"),
                ("afg2mps", "a.afg", "a.mps"),
            ):
                subprocess.run(
                    [stage, given, made],
                    cwd=folder,
                    capture_output=True,
                    timeout=left(),
                    check=True,
                )
            stage = "the solver"
            outcome = solve_model(folder / "a.mps", left())
        except subprocess.TimeoutExpired:
            return Outcome(None, 0, time.perf_counter() - started, f"limit in {stage}")
        except subprocess.CalledProcessError:
            return Outcome(None, 0, time.perf_counter() - started, f"{stage} failed")
    seconds = time.perf_counter() - started + outcome.seconds
    return Outcome(outcome.num_bins, outcome.bound, seconds, outcome.method)


def _find(program: str, how: str) -> None:
    if shutil.which(program) is None:
        raise SolverMissingError(f"VPSolver needs {program}: {how}")


def _outcome_of_cbc(log: str) -> Outcome:
    value = re.search(r"Objective value:\s+([\d.]+)", log)
    bound = re.search(r"Lower bound:\s+([\d.]+)", log)
    if value is None or "No feasible solution found" in log:
        return Outcome(None, 0, 0.0, "limit in cbc")
    num_bins = round(float(value.group(1)))
    if "Optimal solution found" in log:
        return Outcome(num_bins, num_bins, 0.0, "OPTIMAL")
    proved = int(-(-(float(bound.group(1)) - 1e-6) // 1)) if bound else 0
    return Outcome(num_bins, proved, 0.0, "limit in cbc")
