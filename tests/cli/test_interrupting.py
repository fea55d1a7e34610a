"""Ctrl-C while the command line is still loading."""

import subprocess
import sys

import pytest

INTERRUPTED_WHILE_LOADING = """
import sys

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupter())
sys.argv = ["gpupack", "place", "medical"]
from gpupack.cli import main
main()
"""


@pytest.mark.parametrize(
    "module", ["gpupack.cli.app", "typer", "rich.console", "gpupack.planning.place"]
)
def test_ctrl_c_while_modules_load_ends_quietly(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING.format(module=module)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
