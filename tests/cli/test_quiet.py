"""``--quiet`` leaves out tables and progress, never what limits the answer's truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_place_command import run

# No server row and no memory utilization: both are assumed, and told.
TABLE = """\
model,throughput,gpu_util,memory_mib,gpu
a,100,60,1000,T4
b,100,70,1000,T4
"""
ASSUMED = ("counts in full", "memory utilization does not bind", "batch size")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.csv").write_text(TABLE)
    return tmp_path


@pytest.mark.parametrize("command", ["place", "recommend", "frontier"])
@pytest.mark.parametrize("how", [["-q"], ["--json", "-"]])
def test_what_was_assumed_is_told_on_standard_error_without_the_table(
    folder: Path, command: str, how: list[str]
) -> None:
    flags = ["--objective", "max_throughput"] if command == "place" else []
    flags += ["--time-limit", "1", "--workers", "1"]
    if command == "recommend":
        flags += ["--demand", "a=10", "--demand", "b=10"]

    done = run(command, "models.csv", *how, *flags, cwd=folder)

    assert done.returncode == 0, done.stderr
    assert (done.stdout == "") == (how == ["-q"])
    for words in ASSUMED:
        assert words in done.stderr
    lines = done.stderr.splitlines()
    assert len(set(lines)) == len(lines)
    assert all(line.startswith("warning: ") for line in lines)


def test_what_cannot_run_at_once_is_told_first(folder: Path) -> None:
    done = run("place", "models.csv", "-q", cwd=folder)

    assert "cannot all run at the same time" in done.stderr.splitlines()[0]
    assert "counts in full" in done.stderr
