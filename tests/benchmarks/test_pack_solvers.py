import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.at_commit import REPOSITORY, EngineProcess
from benchmarks.pack_solvers import SOLVERS
from benchmarks.problem_sets import gpu_like_problem
from benchmarks.solver_outcome import SolverMissingError
from tests.packing.brute_force import make_problem

ONCE = {"time_limit_s": 10, "seed": 0, "workers": 1}


def test_first_fit_decreasing_fills_the_first_bin_with_room():
    # 9 opens a bin, 7 and 6 as well; 3 goes to the 7, 2 to the 6, 1 to the 9.
    problem = make_problem([[2], [7], [1], [6], [9], [3]], [10])

    outcome = SOLVERS["first fit"](problem, **ONCE)

    assert outcome.num_bins == outcome.bound == 3


def test_first_fit_decreasing_orders_by_the_largest_share():
    # By the largest share 4/5 and 3/5 of the second dimension come before 5/10, so
    # two bins take (1, 4) with (5, 1) and (1, 3) with (5, 2).
    problem = make_problem([[5, 1], [5, 2], [1, 3], [1, 4]], [10, 5])

    assert SOLVERS["first fit"](problem, **ONCE).num_bins == 2


@pytest.mark.parametrize("peer", ["vpsolver", "vpsolver highs"])
def test_a_peer_that_is_not_installed_says_what_to_install(
    peer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SolverMissingError, match="install"):
        SOLVERS[peer](make_problem([[1]], [1]), **ONCE)


def test_a_model_in_a_file_is_solved_in_a_process(tmp_path: Path):
    # Fewest x + y, whole numbers, 2x + y ≥ 5, x ≤ 2: x = 2, y = 1.
    model = tmp_path / "a.mps"
    model.write_text(
        """NAME          A
ROWS
 N  OBJ
 G  R
COLUMNS
    MARKER    MARKER    'MARKER'    'INTORG'
    x         OBJ       1   R   2
    y         OBJ       1   R   1
    MARKER    MARKER    'MARKER'    'INTEND'
RHS
    RHS       R         5
BOUNDS
 UP BND       x         2
 UP BND       y         9
ENDATA
"""
    )
    program = REPOSITORY / "benchmarks" / "solve_mps.py"

    done = subprocess.run(
        [sys.executable, program, model, "10"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert '"value": 3, "bound": 3, "status": "OPTIMAL"' in done.stdout


def test_the_engine_in_a_process_of_its_own_answers_the_same():
    problem = gpu_like_problem(5, 12, seed=3)
    engine = EngineProcess(REPOSITORY / "src")

    answers = [engine.solve(problem, **ONCE) for _ in range(2)]
    engine.close()

    ours = SOLVERS["gpupack"](problem, **ONCE)
    assert {one.num_bins for one in answers} == {ours.num_bins}
    assert all(one.is_proved for one in answers)
    assert engine.peak_memory_mib > 0
