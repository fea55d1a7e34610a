from pathlib import Path

from benchmarks.pack_solvers import solve_cpsat, solve_gpupack
from benchmarks.problem_sets import PROBLEM_SETS, gpu_like_problem
from gpupack.packing.items.model.vbp import format_vbp


def test_generated_problems_are_the_same_for_a_seed():
    assert gpu_like_problem(10, 50, seed=1) == gpu_like_problem(10, 50, seed=1)
    assert gpu_like_problem(10, 50, seed=1) != gpu_like_problem(10, 50, seed=2)
    assert gpu_like_problem(10, 50, seed=1).num_items == 50


def test_files_are_read_in_natural_order(tmp_path: Path):
    folder = tmp_path / "caprara_toth"
    folder.mkdir()
    text = format_vbp(gpu_like_problem(3, 4, seed=0))
    for number in (10, 9, 100):
        (folder / f"CL_1_{number}_1.vbp").write_text(text)

    names = [one.name for one in PROBLEM_SETS["caprara_toth"].load(tmp_path)]

    assert names == ["CL_1_9_1", "CL_1_10_1", "CL_1_100_1"]


def test_a_peer_and_the_engine_agree():
    problem = gpu_like_problem(5, 12, seed=3)

    ours = solve_gpupack(problem, time_limit_s=10, seed=0, workers=1)
    theirs = solve_cpsat(problem, time_limit_s=10, seed=0, workers=1)

    assert ours.is_proved
    assert theirs.is_proved
    assert ours.num_bins == theirs.num_bins
