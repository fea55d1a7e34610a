"""What is released, built as a release is, and installed where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = Path(__file__).parents[2]
STAMP = f"{sys.prefix}/.installed"
"""What make takes as the sign that the environment is there."""

WITHOUT_BYTECODE = ("install", "--quiet", "--no-compile")


@dataclass(frozen=True)
class Distributions:
    """The two files of a release."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Environment:
    """An environment that holds the wheel, what it needs, and nothing else."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(
        self, name: str, *arguments: str, cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of it, where no other program is to be found."""
        return subprocess.run(
            [self.folder / "bin" / name, *arguments],
            cwd=cwd,
            env={"PATH": str(self.folder / "bin"), "HOME": str(cwd), "CC": "false"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


def clean_variables() -> Mapping[str, str]:
    """The variables of this process without those that lead to the sources."""
    led = ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    return {name: value for name, value in os.environ.items() if name not in led}


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """What ``make dist`` writes, from these sources."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    done = subprocess.run(
        # The environment of the tests is there already.
        [*("make", "dist", f"DIST={folder}", f"VENV={sys.prefix}"), "-o", STAMP],
        cwd=PROJECT,
        env=clean_variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    assert sorted(folder.iterdir()) == sorted((sdist, wheel))
    return Distributions(sdist, wheel)


@pytest.fixture(scope="session")
def environment(
    distributions: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """An environment into which pip put the wheel."""
    folder = tmp_path_factory.mktemp("empty") / "env"
    variables = clean_variables()
    subprocess.run([sys.executable, "-m", "venv", folder], env=variables, check=True)
    done = subprocess.run(
        [folder / "bin" / "pip", *WITHOUT_BYTECODE, distributions.wheel],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Environment(folder)
