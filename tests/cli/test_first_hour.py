"""What somebody types in the first hour works, or says what to type instead."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpupack
from tests.cli.test_place_command import run

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_dash_prints_what_a_file_would_hold_and_nothing_else(
    tmp_path: Path, option: str
) -> None:
    file = tmp_path / "out"
    to_file = run("place", "medical", option, str(file), "--quiet", "--workers", "1")

    piped = run("place", "medical", option, "-", "--workers", "1", cwd=tmp_path)

    assert (to_file.returncode, piped.returncode) == (0, 0)
    assert list(tmp_path.iterdir()) == [file]  # none is called "-"
    if option == "--json":
        own, other = json.loads(piped.stdout), json.loads(file.read_text())
        assert own | {"seconds": 0} == other | {"seconds": 0}
    else:
        own_lines, other_lines = (
            [line for line in text.splitlines() if not line.startswith("min_gpus:")]
            for text in (piped.stdout, file.read_text())
        )
        assert own_lines == other_lines  # but for the headline, which tells seconds


def test_standard_output_takes_one_thing_only() -> None:
    done = run("place", "medical", "--json", "-", "--markdown", "-")

    assert (done.returncode, done.stdout) == (2, "")
    assert "--json - and --markdown -" in done.stderr


def test_a_frontier_and_a_report_go_to_standard_output_too(tmp_path: Path) -> None:
    placed = tmp_path / "four.json"
    run("place", "medical", "--json", str(placed), "--quiet")

    frontier = run("frontier", "medical", "--json", "-", cwd=tmp_path)
    page = run("report", str(placed), "-o", "-", cwd=tmp_path)

    assert json.loads(frontier.stdout)["kind"] == "frontier"
    assert page.stdout.startswith("<!")
    assert page.stdout.rstrip().endswith("</html>")
    assert list(tmp_path.iterdir()) == [placed]


@pytest.mark.parametrize(
    ("arguments", "flags", "not_said"),
    [
        (["place", "h200", "--contention", "predicted"], ["--contention predicted"],
         "contention="),
        (["place", "medical", "--objective", "min_cost"], ["--price 16GB=PRICE"],
         "prices="),
        (["place", "medical", "--max-gpus", "3"],
         ["--max-gpus", "--objective max_throughput", "--gpus NAME=COUNT"],
         "objective="),
        (["place", "medical", "--gpu", "A30"], ["--carry-memory-over"],
         "carry_memory_over"),
        (["place", "medical", "--demand", "nobody=3"], ["--demand names 'nobody'"],
         "demand="),
        (["place", "medical", "--latency-limit", "-1"], ["--latency-limit is"],
         "latency_limit_ms"),
        (["place", "medical", "--sharing", "none"], ["unknown --sharing 'none'"],
         "sharing="),
        (["frontier", "medical", "--max-gpus", "3"], ["--budget", "--by gpus"],
         "budgets="),
    ],
)  # fmt: skip
def test_errors_in_the_shell_name_flags(
    arguments: list[str], flags: list[str], not_said: str
) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    for flag in flags:
        assert flag in done.stderr
    assert not_said not in done.stderr


def test_the_same_error_in_python_names_the_argument() -> None:
    medical = gpupack.load_example("medical")

    with pytest.raises(gpupack.InvalidInputError, match="carry_memory_over=True"):
        gpupack.place(medical, gpus="A30")


def test_a_headroom_that_looks_like_free_space_is_asked_about() -> None:
    # 20 % of 16 GiB hold no model; whoever wanted 20 % free wanted 0.8.
    infeasible = run("place", "medical", "--headroom", "0.2")
    assert infeasible.returncode == 3
    assert "if 20 % are to stay free, give --headroom 0.8" in infeasible.stderr

    medical = gpupack.load_example("medical")
    asked = gpupack.place(medical.select("classification_breast"), headroom=0.2)
    assert any("headroom=0.8" in text for text in asked.warnings)
    plain = gpupack.place(medical, headroom=0.8)
    assert not any("stay free" in text for text in plain.warnings)


def test_verbose_tells_on_standard_error_what_the_solver_does() -> None:
    for arguments in (("-v", "place", "medical"), ("place", "medical", "-v")):
        done = run(*arguments)

        assert done.returncode == 0
        assert "placing 9 models of 9 records" in done.stderr
        assert "at least 4 bins, proved by volume bound" in done.stderr
        assert "placing 9 models" not in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("gpupack place medical --objective mi", {"min_gpus", "min_cost"}),
        ("gpupack place medical --sharing m", {"mps"}),
        ("gpupack place medical --gpu H100", {"H100-80GB", "H100-NVL"}),
        ("gpupack frontier medical --by p", {"price"}),
    ],
)
def test_choices_complete_by_tab(words: str, expected: set[str]) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv = ['gpupack']; from gpupack.cli import main; main()",
        ],
        env=os.environ
        | {
            "_GPUPACK_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert set(done.stdout.split()) == expected


def test_place_takes_a_path_and_a_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    medical = gpupack.load_example("medical")
    gpupack.write_profiles(medical, path)

    assert gpupack.place(path).num_gpus == 4
    assert gpupack.place(str(path)).num_gpus == 4
    assert gpupack.place("medical").num_gpus == 4
    assert gpupack.frontier(str(path), budgets=[4]).points[0].num_gpus == 4
    with pytest.raises(gpupack.InvalidInputError, match="neither a file nor"):
        gpupack.place("absent.csv")
    with pytest.raises(gpupack.InvalidInputError, match="read_profiles"):
        gpupack.place(3)  # type: ignore[arg-type]


def test_the_repr_of_what_people_hold_is_one_short_line() -> None:
    medical = gpupack.load_example("medical")

    assert repr(medical) == "<ProfileSet: 9 models, 9 records, measured on 16GB>"
    placed = gpupack.place(medical)
    assert repr(placed) == "<Placement: 9 models on 4 GPUs, min_gpus, OPTIMAL>"
    assert repr(gpupack.frontier(medical, budgets=[4, 5])) == "<Frontier: 2 steps>"


def test_a_family_of_cards_is_an_error_that_names_its_members() -> None:
    done = run("place", "medical", "--gpu", "a100")

    assert done.returncode == 2
    assert "A100-40GB or A100-80GB" in done.stderr


def test_a_family_of_cards_is_the_one_that_was_measured(tmp_path: Path) -> None:
    record = gpupack.load_example("medical").records[0]
    measured = record.model_copy(
        update={
            "gpu_type": gpupack.GpuType(
                name="NVIDIA A100-SXM4-80GB", memory_bytes=81920 * MIB
            )
        }
    )
    baseline = gpupack.load_example("medical").baselines[0]
    profiles = gpupack.ProfileSet(
        records=(measured,),
        baselines=(baseline.model_copy(update={"gpu_type": measured.gpu_type}),),
    )

    placed = gpupack.place(profiles, gpus="A100")

    (gpu,) = placed.gpus
    assert gpu.gpu_type == measured.gpu_type


def test_abbreviations_are_explained_below_the_table() -> None:
    done = run("place", "medical")

    assert "2x4: batch size 2, 4 requests in flight" in done.stdout
    assert "(left): what the headroom still allows" in done.stdout
    assert "keeps: predicted share of its throughput alone" in done.stdout
    assert "(server only): the server with no model" in str(
        gpupack.load_example("medical")
    )


def test_the_demo_installs_the_library_alone() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\n$(DEMO_STAMP):")[2].partition("\n\n")[0]

    assert "demo: $(DEMO_STAMP)" in makefile
    assert "--group" not in recipe
    assert "--quiet" not in recipe
    assert "pip install" in recipe
