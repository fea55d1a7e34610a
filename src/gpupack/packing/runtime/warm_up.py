"""Have the compiled kernels ready, also where they were not built with the package.

Where gpupack was installed by pip they were: loading them takes milliseconds, and
nothing here waits. Where it runs from sources that nobody built, the first search that
wants them starts a build in a process of its own, which ends by itself and keeps what
it made even if this process ends first. A build or a load that fails is not tried again
in this process, and nobody waits for it: searches go on without, and say so.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from gpupack.errors import MissingExtraError

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

POLL_S = 0.02
"""How often to look whether a build has ended."""


class _Kernels:
    """What this process knows of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_loaded = False
        self._process: subprocess.Popen[bytes] | None = None
        self.failure = ""

    @property
    def are_wanted(self) -> bool:
        """Whether anybody has asked for them where they were not built."""
        return self._process is not None or bool(self.failure)

    def are_loaded(self) -> bool:
        """Load them if they were built; return whether they can run."""
        if self._is_loaded:
            return True
        # Small problems need not wait for these imports.
        from gpupack.packing.kernels import build, library

        with self._lock:
            if self.failure or build.find_library() is None:
                return False
            try:
                library.load()
            except OSError as err:
                self.failure = f"they cannot be loaded: {err}"
                return False
            self._is_loaded = True
            return True

    def are_coming(self) -> bool:
        """Start to build them if nobody did; return whether that may still succeed."""
        from gpupack.packing.kernels import build

        with self._lock:
            if self.failure:
                return False
            if self._process is None:
                self._start()
            elif self._process.poll() is not None and build.find_library() is None:
                self.failure = f"they cannot be built: {self._last_words()}"
            return not self.failure

    def _start(self) -> None:
        import subprocess

        from gpupack.packing.kernels import build

        try:
            self._process = subprocess.Popen(
                [sys.executable, build.__file__],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # Ctrl-C here does not end it: the next process has use for it.
                start_new_session=True,
            )
        except OSError as err:
            self.failure = f"they cannot be built: {err}"

    def _last_words(self) -> str:
        said = self._process.stderr if self._process else None
        text = said.read().decode(errors="replace").strip() if said else ""
        return text.splitlines()[-1][:300] if text else "nobody said why"


_kernels = _Kernels()


def _forget() -> None:
    """Start afresh in a forked child: a lock may be held, a build is the parent's.

    What the parent has loaded, the child has, too; it notices when it looks.
    """
    global _kernels
    _kernels = _Kernels()


os.register_at_fork(after_in_child=_forget)


def kernels_are_ready(*, wait_s: float) -> bool:
    """Return whether the kernels can run, after waiting at most ``wait_s``.

    The first call starts to build them where they were not. Returns at once where that
    has failed.
    """
    deadline = time.perf_counter() + wait_s
    while not _kernels.are_loaded():
        left_s = deadline - time.perf_counter()
        if not _kernels.are_coming() or left_s <= 0:
            return False
        time.sleep(min(POLL_S, left_s))
    return True


def kernels_are_coming() -> bool:
    """Return whether the kernels are ready, or waiting for them may help."""
    return _kernels.are_loaded() or _kernels.are_coming()


def build_kernels() -> Path:
    """Return where the kernels are, after building them here and now if need be.

    Raises:
        MissingExtraError: If there is no compiler that works, no folder that takes
            them, or they cannot be loaded from it.
    """
    from gpupack.packing.kernels import build, library

    try:
        path = build.build_somewhere()
        library.load()
    except (build.KernelsNotBuiltError, OSError) as err:
        raise MissingExtraError(
            f"the compiled searches cannot be built or loaded: {err}; install a C "
            "compiler (such as gcc), or pip install ziglang, and try again"
        ) from err
    return path


def weaknesses() -> tuple[str, ...]:
    """Return what to tell of an unproved answer that was found without kernels.

    Empty if they are ready, or no search of this process has wanted them.
    """
    if not _kernels.are_wanted or _kernels.are_loaded():
        return ()
    reason = _kernels.failure or "they are still being built"
    return (
        f"planned without the compiled searches ({reason}), which may find a better "
        "answer; the command gpupack warm-up builds them",
    )


def load_solvers() -> None:
    """Import the solvers and compiled searches now, not when one is first needed.

    For processes that answer many questions: the first is then as quick as the next.
    """
    from ortools.linear_solver import pywraplp  # noqa: F401
    from ortools.sat.python import cp_model  # noqa: F401

    kernels_are_ready(wait_s=0)
