"""Compile the kernels: run when gpupack is installed, and where that was not done.

Needs nothing but Python and a C compiler: the system's, or that of the package
``ziglang``. The library's name holds a hash of the sources, so that one of other
sources is never taken for it; what is written appears in one step, and processes that
build at the same time wait for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent
FLAGS = (
    "-std=gnu11",
    "-O3",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fwrapv",
    # The same sums on every machine, whether or not it can multiply and add at once.
    "-ffp-contract=off",
)
COMPILE_S = 120.0
"""Seconds after which a compiler is given up."""
FAILED = 3
"""Exit status of this module as a program when nothing could be built."""


class KernelsNotBuiltError(Exception):
    """No compiler could make the library, or no folder would take it."""


@cache
def library_name() -> str:
    """Return the name of the library of these sources for this platform."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for file in sorted((*SOURCES.rglob("*.c"), *SOURCES.rglob("*.h"))):
        name = file.relative_to(SOURCES).as_posix()
        digest.update(name.encode() + b"\0" + file.read_bytes())
    return f"kernels-{digest.hexdigest()[:16]}-{sysconfig.get_platform()}.so"


def folders() -> tuple[Path, ...]:
    """Return where libraries are kept: beside the sources, or in the user's cache."""
    kept = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # nobody's process has no home
        cache_folder = Path(kept) if kept else Path.home() / ".cache"
        return (SOURCES, cache_folder / "gpupack")
    return (SOURCES,)


def find_library() -> Path | None:
    """Return the library of these sources, if it was built."""
    for folder in folders():
        library = folder / library_name()
        if library.is_file():
            return library
    return None


def build_library(folder: Path) -> Path:
    """Return the library in a folder; built there unless it is there already.

    Raises:
        KernelsNotBuiltError: If no compiler is there or works.
        OSError: If the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / library_name()
    with _locked(folder):
        if library.is_file():
            return library
        with tempfile.TemporaryDirectory(dir=folder, prefix=".kernels-") as room:
            built = Path(room) / library.name
            _compile(sorted(SOURCES.rglob("*.c")), built)
            built.replace(library)
        if folder == SOURCES:  # a cache serves other versions, too
            for older in folder.glob(f"kernels-*-{sysconfig.get_platform()}.so"):
                if older != library:
                    older.unlink(missing_ok=True)
    return library


def build_somewhere() -> Path:
    """Return the library, built in the first folder that takes it.

    Raises:
        KernelsNotBuiltError: If there is no compiler that works, or no such folder.
    """
    found = find_library()
    if found is not None:
        return found
    for folder in folders():
        with suppress(OSError):
            return build_library(folder)
    raise KernelsNotBuiltError(f"{' and '.join(map(str, folders()))} are read-only")


def has_compiler() -> bool:
    """Return whether the system has a C compiler that makes libraries."""
    with tempfile.TemporaryDirectory() as room:
        source = Path(room) / "probe.c"
        source.write_text("#include <math.h>\ndouble f(double x) { return exp(x); }\n")
        try:
            _compile([source], Path(room) / "probe.so")
        except KernelsNotBuiltError:
            return False
    return True


def _compile(sources: list[Path], target: Path) -> None:
    """Compile with the first compiler that works."""
    problems = []
    for compiler in _compilers():
        command = [*compiler, *FLAGS, *map(str, sources), "-o", str(target), "-lm"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=COMPILE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            problems.append(f"{compiler[0]}: {err}")
            continue
        if done.returncode == 0:
            return
        problems.append(f"{compiler[0]}: {done.stderr.strip()[-500:]}")
    raise KernelsNotBuiltError("; ".join(problems) or "there is no C compiler")


def _compilers() -> Iterator[list[str]]:
    """Yield the commands of the compilers that there are."""
    if os.environ.get("CC"):
        yield shlex.split(os.environ["CC"])
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            yield [name]
    if importlib.util.find_spec("ziglang"):
        # Left to itself, it compiles for this machine's processor alone.
        yield [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time build in a folder; a dead one holds up nobody."""
    with (folder / ".kernels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        build_somewhere()
    except KernelsNotBuiltError as err:
        sys.stderr.write(f"{err}\n")
        sys.exit(FAILED)
