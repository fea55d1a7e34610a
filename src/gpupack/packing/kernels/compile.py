"""Compile inner loops with numba; importing this module imports numba."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., object])

_FOLDER = Path(__file__).parent


def kernel(function: Function) -> Function:
    """Compile on first call, keep the machine code on disk, release the GIL."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast("Function", compiled)


def drop_stale_machine_code(folder: Path) -> None:
    """Delete the machine code kept of kernels if any of their files has changed.

    numba looks at a kernel's own file only, but the machine code holds the kernels
    that it calls from other files, too.

    Args:
        folder: With the kernels' files; one that cannot be written to keeps no
            machine code.
    """
    files = sorted(folder.glob("*.py"))
    stamp = "\n".join(
        f"{file.name} {file.stat().st_mtime_ns} {file.stat().st_size}" for file in files
    )
    kept = folder / "__pycache__"
    stamp_file = kept / "kernels.stamp"
    with suppress(OSError):
        kept.mkdir(exist_ok=True)
        if not stamp_file.exists() or stamp_file.read_text() != stamp:
            for file in (*kept.glob("*.nbi"), *kept.glob("*.nbc")):
                file.unlink(missing_ok=True)
            stamp_file.write_text(stamp)


drop_stale_machine_code(_FOLDER)
