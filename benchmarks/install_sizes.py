"""What an install takes on disk: all of it, and without what only measuring needs.

    python -m benchmarks.install_sizes

Makes two virtual environments in a temporary folder, from whatever index pip is set up
with, and prints one JSON line. Files compiled by pip are left out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from benchmarks.environment import benchmark_environment

ROOT = Path(__file__).parents[1]
MEASURING = {"nvidia-ml-py", "tritonclient"}
"""What planning, reading and reporting never import."""


def main() -> None:
    """Install twice, measure, and place an example with the smaller one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    planning = [
        one
        for one in project["dependencies"]
        if re.split(r"[\[<>=~! ]", one)[0] not in MEASURING
    ]
    with tempfile.TemporaryDirectory() as folder:
        empty = _environment(Path(folder) / "empty")
        full = _environment(Path(folder) / "full", [str(ROOT)])
        small = _environment(
            Path(folder) / "planning", planning, ["--no-deps", str(ROOT)]
        )
        placed = subprocess.run(
            [small / "bin" / "gpupack", "place", "medical", "-q"], check=False
        )
        line = {
            "full_mb": _megabytes(full) - _megabytes(empty),
            "planning_mb": _megabytes(small) - _megabytes(empty),
            "places_without": placed.returncode == 0,
            "environment": benchmark_environment(seed=0).model_dump(
                mode="json", exclude_none=True
            ),
        }
    print(json.dumps(line))


def _environment(folder: Path, *installs: list[str]) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    for one in installs:
        subprocess.run(
            [folder / "bin" / "pip", "install", "-q", "--no-compile", *one], check=True
        )
    return folder


def _megabytes(folder: Path) -> int:
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return round(sum(sizes) / 1e6)


if __name__ == "__main__":
    main()
