"""What README, quickstart and how-tos tell people to type works as it stands."""

from __future__ import annotations

import contextlib
import io
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.code_blocks import code_blocks

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/quickstart.md",
        "docs/index.md",
        "docs/explanation/utilization.md",
        "docs/howto/choose_headroom.md",
        "docs/howto/compare_plans.md",
        "docs/howto/decide_what_to_buy.md",
        "docs/howto/look_at_results.md",
        "docs/howto/plan_what_runs.md",
        "docs/howto/read_profiles.md",
    ],
)
def test_every_code_block_runs_and_prints_what_is_shown(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    num_run = 0

    for block in code_blocks(ROOT / page):
        if block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.code, page, "exec"), names)
            if block.expected is not None:
                assert printed.getvalue() == block.expected
            num_run += 1
        if block.language == "sh":
            for line in block.code.splitlines():
                command, *arguments = shlex.split(line)
                assert command == "gpupack"
                subprocess.run(
                    [sys.executable, "-m", "gpupack", *arguments],
                    check=True,
                    timeout=120,
                )
            num_run += 1

    assert num_run >= 1


def test_a_text_block_belongs_to_the_code_right_above_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n```\n\n```text\n1\n```\n\n"
        "```python\npass\n```\nwords\n```text\nother\n```\n"
    )

    assert [(one.language, one.expected) for one in code_blocks(page)] == [
        ("python", "1\n"),
        ("text", None),
        ("python", None),
        ("text", None),
    ]
