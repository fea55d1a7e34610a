"""An install without what only measuring needs plans, and says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALL = "grpc,gevent,pynvml,tritonclient"
WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None  # as if it was not installed
from gpupack.cli import main
main()
"""


def run_without(names: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, names, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_planning_needs_no_driver_and_no_client() -> None:
    done = run_without(ALL, "place", "medical", "--explain")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("names", "told"), [(ALL, "pynvml"), ("tritonclient",) * 2])
def test_measuring_names_what_to_install(names: str, told: str) -> None:
    done = run_without(names, "profile", "--url", "http://localhost:1", "--gpu=host")
    assert done.returncode == 2
    assert f"error: this needs {told}, which" in done.stderr
    assert "pip install nvidia-ml-py 'tritonclient[http,grpc]'" in done.stderr
