"""A limit of memory that is too low is told in a sentence, without a traceback."""

import resource
import subprocess
import sys

import pytest

from gpupack import load_example
from gpupack.cli import LEAST_BYTES

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


def within(most_bytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in so much address space."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))

    return subprocess.run(
        [sys.executable, "-m", "gpupack", *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit it")
@pytest.mark.parametrize("share", [0.15, 0.4, 0.99])
def test_a_limit_that_nothing_fits_into_is_one_sentence(share: float) -> None:
    done = within(int(share * LEAST_BYTES), "place", "medical")

    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: out of memory: gpupack takes 163,840 KiB")
    assert "ulimit -v" in line


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit it")
@pytest.mark.parametrize("most_mib", [250, 350, 500])
def test_within_a_limit_there_is_an_answer_or_one_sentence(most_mib: int) -> None:
    # Solvers that get no memory end the process by a signal, or write what is wrong
    # in words of their own.
    names = {record.model_name for record in load_example("h200").records}
    done = within(
        most_mib << 20,
        *("place", "h200", "--gpus", "H200=3", "--objective", "max_throughput"),
        *("--time-limit", "2"),
        *(part for name in names for part in ("--demand", f"{name}=3000")),
    )

    assert done.returncode in {0, 2}, done.stderr
    for line in done.stderr.splitlines():
        assert line.startswith(("warning: ", "error: out of memory")), done.stderr
    assert ("bound" in done.stdout or "OPTIMAL" in done.stdout) == (
        done.returncode == 0
    )
