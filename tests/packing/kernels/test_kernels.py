"""The compiled kernels: built once, kept, not waited for in vain, alive after fork."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import gpupack
from gpupack.packing.kernels import build, library
from gpupack.packing.kernels.capacity import (
    minimum_slack,
    pattern_bounds,
    refilling,
    ruin_recreate,
)
from gpupack.packing.kernels.items import moves
from gpupack.packing.runtime import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(gpupack.__file__).parent

needs_compiler = pytest.mark.skipif(
    not build.has_compiler(), reason="there is no C compiler"
)


@pytest.fixture
def unbuilt(tmp_path: Path) -> Path:
    """Return a folder with a gpupack that nobody built the kernels of."""
    shutil.copytree(
        PACKAGE,
        tmp_path / "src" / "gpupack",
        ignore=shutil.ignore_patterns("*.so", "__pycache__", "data", "templates"),
    )
    return tmp_path


@pytest.fixture
def tiny_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have ``build`` compile one line of C instead of the kernels."""
    (tmp_path / "one.c").write_text("int f(void) { return 1; }")
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    build.library_name.cache_clear()
    yield tmp_path
    build.library_name.cache_clear()


def environment(root: Path, **more: str) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(root / "src"),
        "XDG_CACHE_HOME": str(root / "cache"),
        **more,
    }


def start(root: Path, code: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(root, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(root: Path, code: str, **more: str) -> str:
    out, err = (process := start(root, code, **more)).communicate()
    assert process.returncode == 0, err
    return out.strip()


def counting_compiler(root: Path) -> tuple[str, Path]:
    """Return a compiler that is slow and notes its calls, and where it does."""
    log, script = root / "calls.log", root / "compiler"
    script.write_text(f'#!/bin/sh\necho call >> {log}\nsleep 0.5\nexec cc "$@" -O0\n')
    script.chmod(0o755)
    return str(script), log


IS_READY = (
    "from gpupack.packing import kernels_are_ready; "
    "print(kernels_are_ready(wait_s=250))"
)
"""A failure is no wait: this takes as long only if something hangs."""


@needs_compiler
def test_processes_that_need_the_kernels_at_once_build_them_once(unbuilt: Path) -> None:
    compiler, log = counting_compiler(unbuilt)
    processes = [start(unbuilt, IS_READY, CC=compiler) for _ in range(3)]
    said = [process.communicate()[0].strip() for process in processes]

    assert said == ["True"] * 3
    assert log.read_text().split() == ["call"]
    assert run(unbuilt, IS_READY, CC=compiler) == "True"
    assert log.read_text().split() == ["call"]


@needs_compiler
def test_a_build_goes_on_when_the_process_that_wanted_it_ends(unbuilt: Path) -> None:
    compiler, log = counting_compiler(unbuilt)
    first = IS_READY.replace("wait_s=250", "wait_s=0")
    assert run(unbuilt, first, CC=compiler) == "False"

    # The next one finds it, or waits for what the first one started.
    assert run(unbuilt, IS_READY, CC=compiler) == "True"
    assert log.read_text().split() == ["call"]


@needs_compiler
def test_a_fork_during_a_build_reaches_full_strength(unbuilt: Path) -> None:
    code = """
import os
from gpupack.packing.runtime import warm_up
print(warm_up.kernels_are_ready(wait_s=0))
warm_up._kernels._lock.acquire()  # as another thread may, in the middle of a call
child = os.fork()
if child == 0:
    os._exit(0 if warm_up.kernels_are_ready(wait_s=250) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(unbuilt, code, CC=counting_compiler(unbuilt)[0]).split() == [
        "False",
        "0",
    ]


FORKED = """
import multiprocessing, random, sys
from gpupack.packing.items.model.problem import ItemType, PackingProblem
from gpupack.packing.items.search.packing_solve import solve

def answer(seed):
    draw = random.Random(seed)
    items = tuple(
        ItemType((draw.randint(200, 500), draw.randint(100, 500))) for _ in range(40)
    )
    result = solve(PackingProblem((1000, 1000), items), time_limit_s=60, num_workers=1)
    return result.num_bins, result.bound, result.bins

alone = [answer(seed) for seed in range(3)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(answer, range(3)) == alone)
"""


def test_workers_forked_from_a_process_that_has_planned_plan_as_it_does() -> None:
    assert warm_up.kernels_are_ready(wait_s=250)
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


WITHOUT = """
import random
from gpupack.packing.runtime import warm_up
from gpupack.packing.items.model.problem import ItemType, PackingProblem
from gpupack.packing.items.search.packing_solve import solve
assert not warm_up.kernels_are_ready(wait_s=250)
assert not warm_up.kernels_are_coming()
draw = random.Random(0)
items = tuple(
    ItemType((draw.randint(200, 400), draw.randint(200, 400))) for _ in range(60)
)
result = solve(PackingProblem((1000, 1000), items), time_limit_s=0)
print(result.status, *result.warnings, sep="\\n")
"""


def test_without_a_compiler_an_unproved_answer_says_what_it_lacks(
    unbuilt: Path,
) -> None:
    no_compiler = unbuilt / "empty"
    no_compiler.mkdir()
    script = unbuilt / "src/gpupack/packing/kernels/build.py"
    script.write_text(script.read_text().replace('"ziglang"', '"no_such_package"'))
    said = run(unbuilt, WITHOUT, PATH=str(no_compiler), CC="").splitlines()

    assert said[0] == "FEASIBLE"
    assert "there is no C compiler" in said[1]


def test_a_library_that_cannot_be_loaded_holds_nobody_up(unbuilt: Path) -> None:
    code = f"""
from gpupack.packing.kernels import build
(build.SOURCES / build.library_name()).write_bytes(b"no library")
{WITHOUT}
"""
    said = run(unbuilt, code).splitlines()

    assert said[0] == "FEASIBLE"
    assert "cannot be loaded" in said[1]


@needs_compiler
def test_where_the_package_is_read_only_the_library_is_kept_in_the_users_cache(
    tiny_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only = tiny_sources / "file"
    read_only.write_text("a file: no folder can be made in it")
    folders = (read_only / "package", tiny_sources / "cache")
    monkeypatch.setattr(build, "folders", lambda: folders)

    library = build.build_somewhere()

    assert library.parent == tiny_sources / "cache"
    assert build.find_library() == library
    ctypes.CDLL(str(library))


def test_without_any_folder_to_write_to_there_is_an_error_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only = tmp_path / "file"
    read_only.write_text("")
    monkeypatch.setattr(build, "folders", lambda: (read_only / "a", read_only / "b"))
    with pytest.raises(build.KernelsNotBuiltError, match=r"file/a and .*file/b"):
        build.build_somewhere()


def test_a_library_of_other_sources_has_another_name(tiny_sources: Path) -> None:
    names = set()
    for text in ("int g;", "int h;"):
        (tiny_sources / "one.h").write_text(text)
        build.library_name.cache_clear()
        names.add(build.library_name())
    assert len(names) == 2


def test_a_half_written_library_is_never_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: list[Path], target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "folders", lambda: (tmp_path,))
    monkeypatch.setattr(build, "_compile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build.build_library(tmp_path)
    assert build.find_library() is None
    assert not list(tmp_path.glob("**/*.so"))


def test_arrays_of_another_type_are_refused() -> None:
    assert warm_up.kernels_are_ready(wait_s=250)
    ones = np.ones(1, dtype=np.int64)
    grid = np.ones((1, 1), dtype=np.int64)
    state = np.ones(1, dtype=np.uint64)
    stop = np.zeros(1, dtype=np.int8)
    with pytest.raises(ctypes.ArgumentError):
        moves.eject(
            grid, ones * 1.0, ones, grid, ones, grid, ones, 0, ones, state, 1, 1, stop
        )


def test_arrays_that_are_written_to_are_not_copied_in_silence() -> None:
    filling = refilling.Filling(
        option=np.zeros((1, 2), dtype=np.int32),
        number=np.zeros((1, 2), dtype=np.int64),
        load=np.zeros((1, 2)),
        num_slots=np.zeros(1, dtype=np.int64),
        left=np.zeros(1),
        copies=np.zeros(1, dtype=np.int64),
    )
    with pytest.raises(TypeError, match="option is int32"):
        refilling._written(filling)


STRUCTS = (
    ("capacity/offers.h", minimum_slack.OFFERS),
    ("capacity/minimum_slack.c", minimum_slack._FILLINGS),
    ("capacity/ruin_recreate.c", ruin_recreate._PACKED),
    ("capacity/pattern_bounds.h", pattern_bounds.MARKET),
    ("capacity/refilling.h", refilling._CHOICES),
    ("capacity/refilling.h", refilling._FILLING),
)
C_TYPES = {
    "int64_t": ctypes.c_int64,
    "int64_t *": ctypes.POINTER(ctypes.c_int64),
    "double *": ctypes.POINTER(ctypes.c_double),
    "uint8_t *": ctypes.POINTER(ctypes.c_bool),
}


@pytest.mark.parametrize(("file", "struct"), STRUCTS)
def test_structs_have_the_fields_that_they_have_in_c(
    file: str, struct: library.Struct
) -> None:
    text = re.sub(r"/\*.*?\*/", "", (build.SOURCES / file).read_text(), flags=re.S)
    found = re.search(rf"typedef struct {{([^}}]*)}} {struct.name};", text)
    assert found is not None
    fields = []
    for declaration in found[1].split(";")[:-1]:
        kind, names = re.sub(r"\bconst\b", "", declaration).split(maxsplit=1)
        for name in names.split(","):
            star = " *" if "*" in name else ""
            fields.append((name.strip(" *\n"), C_TYPES[f"{kind}{star}"]))
    assert struct.fields == tuple(fields)
