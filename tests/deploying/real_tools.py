"""The programs that read what is emitted: helm, kubectl, docker-compose, nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml


def tool(name: str) -> str:
    """A program's path; the test is skipped where it is not installed."""
    # An older kubectl of the distribution may come first on the PATH.
    for folders in (f"/usr/local/bin:{os.environ['PATH']}", "/usr/sbin:/usr/bin"):
        found = shutil.which(name, path=folders)
        if found is not None:
            return found
    pytest.skip(f"no {name} here; a script in .ci installs it")


def output_of(*command: str, **options: Any) -> str:
    """What a program prints; it must end with 0."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, **options
    )
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    """The objects in YAML."""
    return [one for one in yaml.safe_load_all(text) if one]


def rendered(chart: Path) -> list[dict[str, Any]]:
    """What a chart makes with its own values."""
    output_of(tool("helm"), "lint", "--strict", str(chart))
    return documents(output_of(tool("helm"), "template", "release", str(chart)))


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """What a kustomization makes."""
    return documents(output_of(tool("kubectl"), "kustomize", str(folder)))
