"""What a command writes: files, none of which it reads, or standard output."""

from __future__ import annotations

import stat
import sys
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.files import file_mode, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STANDARD_OUTPUT = Path("-")


def is_standard_output(path: Path | None) -> bool:
    """Return whether a path is ``-``, which stands for standard output."""
    return path == STANDARD_OUTPUT


def write_output(path: Path, text: str) -> None:
    """Write a text to a file, or to standard output where the path is ``-``.

    Raises:
        StoreError: If the file cannot be written.
    """
    if is_standard_output(path):
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_text(path, text)


def require_apart(
    outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]
) -> None:
    """Check that nothing is written over an input, or over another output.

    Devices and pipes, such as ``/dev/stdout``, may be named as often as one likes.

    Args:
        outputs: Paths by the option that names them; None where it was not given.
        inputs: What is read; names of examples do no harm.

    Raises:
        InvalidInputError: Naming the option and the file.
    """
    piped = [name for name, path in outputs.items() if is_standard_output(path)]
    if len(piped) > 1:
        raise InvalidInputError(
            f"{piped[0]} - and {piped[1]} -: standard output takes one of them; give "
            "the other a file"
        )
    taken = {realpath(one): "that is read" for one in inputs if one is not None}
    for option, path in outputs.items():
        if path is None or is_standard_output(path):
            continue
        mode = file_mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            continue
        place = realpath(path)
        if place in taken:
            raise InvalidInputError(
                f"{option} {path}: that is the file {taken[place]}, too; name another"
            )
        taken[place] = f"that {option} writes"
