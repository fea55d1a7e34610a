"""The packing engine as it is here or was at a commit, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.solver_outcome import Outcome
from gpupack.packing import PackingProblem, format_vbp

REPOSITORY = Path(__file__).resolve().parent.parent


class EngineProcess:
    """Solves problems with the sources of a folder, in one process for all of them.

    Args:
        sources: Folder that holds the package ``gpupack``, its kernels built.
    """

    def __init__(self, sources: Path) -> None:
        self._process = subprocess.Popen(
            # Without the folder of the program, whose names are those of benchmarks.
            [sys.executable, "-P", Path(__file__).with_name("packing_server.py")],
            env={**os.environ, "PYTHONPATH": str(sources)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.peak_memory_mib = 0
        """Of the process so far."""
        self._read()

    def solve(
        self, problem: PackingProblem, *, time_limit_s: float, seed: int, workers: int
    ) -> Outcome:
        """Solve a problem as ``solve_gpupack`` does."""
        asked = {
            "text": format_vbp(problem),
            "time_limit_s": time_limit_s,
            "seed": seed,
            "workers": workers,
        }
        if self._process.stdin is None:
            raise RuntimeError("the process takes no problems")
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        self.peak_memory_mib = answer.pop("peak_memory_mib")
        return Outcome(**answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self) -> dict[str, object]:
        if self._process.stdout is None or not (
            line := self._process.stdout.readline()
        ):
            raise RuntimeError("the process of the engine has ended")
        return json.loads(line)


@contextmanager
def sources_at(commit: str) -> Iterator[Path]:
    """Check a commit out into a folder that goes again, and build its kernels.

    Yields:
        The folder that holds the package.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            subprocess.run(
                [sys.executable, "-m", "gpupack.packing.kernels.build"],
                env={**os.environ, "PYTHONPATH": str(tree / "src")},
                check=True,
            )
            yield tree / "src"
        finally:
            _git("worktree", "remove", "--force", str(tree))


def full_name(commit: str) -> str:
    """Return a commit as the lines of results name it."""
    return _git("rev-parse", "--short=12", f"{commit}^{{commit}}")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
