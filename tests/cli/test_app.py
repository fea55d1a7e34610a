"""The command line imports what the command that is asked for needs, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gpupack.cli import app as command_line

CSV = """\
model_name,batch_size,concurrency,throughput_infer_per_sec,gpu_memory_used_mib
,,,,0
a,1,1,100,600
b,1,1,100,400
"""
UNUSED = [
    "ortools",
    "matplotlib",
    "jinja2",
    "rich.progress",
    "gpupack.cli.commands.profile",
    "gpupack.packing.capacity.capacity_ladder",
    "gpupack.planning.infeasible.clash",
    "gpupack.report.page.html",
]


def test_a_small_plan_imports_no_solver_no_page_and_no_other_command(
    tmp_path: Path,
) -> None:
    path = tmp_path / "models.csv"
    path.write_text(CSV, encoding="utf-8")
    program = (
        "import sys\n"
        "from gpupack.cli import main\n"
        f"sys.argv = ['gpupack', 'place', {str(path)!r}, '--gpu', 'mine:1000']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    sys.stderr.write(repr([n for n in {UNUSED!r} if n in sys.modules]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "OPTIMAL" in done.stdout
    assert done.stderr.endswith("[]")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("place x.csv", ["place"]),
        ("-v place x.csv", ["place"]),
        ("read x.csv", ["read"]),
        ("read prometheus URL", ["read", "read-prometheus"]),
        ("server install", ["server"]),
        # Help, and what is not known, tell of all.
        ("--help", list(command_line.COMMANDS)),
        ("plase x.csv", list(command_line.COMMANDS)),
        ("", list(command_line.COMMANDS)),
    ],
)
def test_the_commands_that_a_line_needs_are_there(line: str, names: list[str]) -> None:
    asked_for = command_line._asked_for(line.split())

    group = typer.main.get_command(command_line.app_of(asked_for))

    assert sorted(group.commands) == sorted(names)  # type: ignore[attr-defined]


def test_completing_a_word_takes_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GPUPACK_COMPLETE", "complete_bash")

    assert list(command_line._asked_for(["place"])) == list(command_line.COMMANDS)
