"""A limit of memory that is too low is told in a sentence, without a traceback."""

import subprocess
import sys

PROGRAM = """
import resource, sys
import gpupack, numpy
from gpupack.cli.app import run
numpy.ones((200, 200)) @ numpy.ones((200, 200))
gpupack.place(gpupack.load_example("medical"), "min_gpus")
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (most, most))
run()
"""
SOLVERS_BYTES = 16 << 20
"""Less than the solvers' libraries take, which are loaded when a plan needs them.

What a plan without them takes is loaded and used before the limit is set: Python itself
and numpy end in other ways where a small allocation fails."""


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
