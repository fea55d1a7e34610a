"""``gpupack warm-up`` as a person at a terminal meets it."""

from pathlib import Path

import pytest

from gpupack.errors import MissingExtraError
from gpupack.packing.kernels import build
from gpupack.packing.runtime import warm_up
from tests.cli.test_place_command import run


def test_it_says_where_the_compiled_searches_are() -> None:
    done = run("warm-up")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip().endswith(build.library_name())
    assert warm_up.kernels_are_ready(wait_s=0)


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "folders", lambda: (tmp_path,))
    monkeypatch.setattr(build, "_compilers", lambda: iter(()))

    with pytest.raises(MissingExtraError, match=r"no C compiler; install .*ziglang"):
        warm_up.build_kernels()
