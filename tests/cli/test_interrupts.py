"""Ctrl-C at awkward moments: one message, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTED = """\
import signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["gpupack", "profile", "--model-repository", "nowhere"]
from gpupack.cli import main
main()
"""


@pytest.mark.parametrize(
    "module",
    ["typer", "gpupack.errors", "rich.progress", "gpupack.profiling.sweep.run"],
)
def test_an_interrupt_while_a_module_is_imported_is_one_message(
    module: str, tmp_path: Path
) -> None:
    code = INTERRUPTED.format(module=module)

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "error: interrupted"


def test_a_path_that_can_be_none_is_one_message_and_exit_code_2() -> None:
    name = "n" * 300
    done = subprocess.run(
        [sys.executable, "-m", "gpupack", "profile", "--model-repository", name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "too long; give another" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_under_the_output_is_one_message_and_exit_code_2() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gpupack", "place", "medical"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write the output: No space left")
    assert "Traceback" not in done.stderr
