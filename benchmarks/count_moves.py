"""Count the files that the simplest call of ``place()`` enters, and the moves between.

What a reader who follows one call has to open, and how often the call changes from
one file to another: a Python function of gpupack that is called counts as a move if
the function called before it lies in another file.

Run from the repository's root: ``python -m benchmarks.count_moves``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import gpupack
from benchmarks.environment import benchmark_environment

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES = Path(gpupack.__file__).parent


def count_moves(call: Callable[[], object]) -> tuple[list[str], int]:
    """Return the files of gpupack that a call enters, sorted, and the moves."""
    files: set[str] = set()
    num_moves = 0
    last = ""

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal num_moves, last
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(str(SOURCES)):
            files.add(str(Path(name).relative_to(SOURCES)))
            num_moves += name != last
            last = name

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return sorted(files), num_moves


def main() -> None:
    """Count for the medical example, once everything is imported."""
    profiles = gpupack.load_example("medical")
    gpupack.place(profiles)
    files, num_moves = count_moves(lambda: gpupack.place(profiles))
    print(
        json.dumps(
            {
                "num_files": len(files),
                "num_moves": num_moves,
                "files": files,
                "environment": benchmark_environment(seed=0).model_dump(
                    mode="json", exclude_none=True
                ),
            }
        )
    )


if __name__ == "__main__":
    main()
