"""A limit of memory that is too low is told in a sentence, without a traceback."""

import subprocess
import sys

PROGRAM = """
import resource, sys
import numpy
import gpupack.cli.commands.place
from gpupack.cli.app import run
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (most, most))
run()
"""
SOLVERS_BYTES = 2 << 20
"""Less than the solvers' libraries take, which are loaded when a plan needs them.

The command is loaded before the limit is set: what it loads takes about as much."""


def test_a_limit_that_the_solvers_do_not_fit_into_is_named() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, str(SOLVERS_BYTES)),
            *("place", "medical", "--objective", "min_gpus", "--quiet"),
            *("--demand", "classification_breast=10000"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "out of memory of the " in done.stderr
    assert "ulimit -v" in done.stderr
