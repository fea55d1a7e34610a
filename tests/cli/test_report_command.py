"""``gpupack report`` as a person at a terminal meets it."""

import json
import os
from pathlib import Path

import pytest

import gpupack
from gpupack.placement import Placement
from tests.cli.test_place_command import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("placements")
    medical = gpupack.load_example("medical")
    for name, objective in (("four", "min_gpus"), ("six", "max_throughput")):
        placement = gpupack.place(medical, objective)
        gpupack.write_placement(placement, folder / f"{name}.json")
    return folder


def test_two_placements_become_one_page(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.html"

    done = run(
        "report", str(folder / "four.json"), str(folder / "six.json"), "-o", str(output)
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert str(output) in done.stdout
    assert "What moved from four to six" in output.read_text(encoding="utf-8")


def test_another_schema_version_is_refused_by_name(
    folder: Path, tmp_path: Path
) -> None:
    value = json.loads((folder / "four.json").read_text())
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps(value | {"schema_version": 99}))

    done = run("report", str(newer), "-o", str(tmp_path / "out.html"))

    assert done.returncode == 2
    assert "newer.json" in done.stderr
    assert "schema version 99" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [newer]


@pytest.mark.parametrize("output", ["absent/out.html", "."])
def test_an_output_that_cannot_be_written_is_named(
    folder: Path, tmp_path: Path, output: str
) -> None:
    done = run("report", str(folder / "four.json"), "-o", output, cwd=tmp_path)

    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_placement_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("[]")

    done = run("report", str(path), cwd=tmp_path)

    assert done.returncode == 2
    assert "not a gpupack placement" in done.stderr


def test_an_empty_placement_is_reported(tmp_path: Path) -> None:
    full = gpupack.place(gpupack.load_example("medical"))
    empty = Placement.model_validate(
        full.model_dump() | {"gpus": (), "num_gpus": 0, "profiles": ()}
    )
    gpupack.write_placement(empty, tmp_path / "empty.json")

    done = run("report", "empty.json", cwd=tmp_path)

    assert done.returncode == 0
    assert "This placement is empty" in (tmp_path / "report.html").read_text()


def test_files_of_one_name_are_told_apart_by_their_path(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "four.json").write_bytes((folder / "six.json").read_bytes())
    relative = os.path.relpath(folder / "four.json", tmp_path)

    done = run("report", "four.json", relative, cwd=tmp_path)

    assert done.returncode == 0
    assert f"to {relative}" in (tmp_path / "report.html").read_text()


def test_a_frontier_is_drawn_beside_the_placement(folder: Path, tmp_path: Path) -> None:
    run("frontier", "medical", "--json", "frontier.json", cwd=tmp_path)

    done = run(
        "report", str(folder / "four.json"), "--frontier", "frontier.json", cwd=tmp_path
    )

    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    # Six GPUs serve everything: the sum of the nine published throughputs.
    assert "2,298 at 6" in page


def test_a_placement_is_no_frontier(folder: Path, tmp_path: Path) -> None:
    placement = str(folder / "four.json")

    done = run("report", placement, "--frontier", placement, cwd=tmp_path)

    assert done.returncode == 2
    assert "not a gpupack frontier" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_file_given_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    placement = str(folder / "four.json")

    done = run("report", placement, placement, cwd=tmp_path)

    assert done.returncode == 2
    assert "different labels" in done.stderr


def test_compare_exits_as_diff_does(folder: Path, tmp_path: Path) -> None:
    four, six = str(folder / "four.json"), str(folder / "six.json")
    markdown = tmp_path / "diff.md"

    same = run("compare", four, four)
    other = run("compare", four, six, "--markdown", str(markdown))

    assert (same.returncode, same.stderr) == (0, "")
    assert "The same 9 models on the same 4 GPUs" in same.stdout
    assert (other.returncode, other.stderr) == (1, "")
    assert other.stdout.split("GPUs", 1)[1].split()[:3] == ["4", "6", "+2"]
    assert markdown.read_text().startswith("| ")
    missing = run("compare", four, str(tmp_path / "absent.json"))
    assert missing.returncode == 2
