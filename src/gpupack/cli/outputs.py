"""Files that a command writes: none of them may be one that it reads."""

from __future__ import annotations

import stat
from os.path import realpath
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.files import file_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


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
    taken = {realpath(one): "that is read" for one in inputs if one is not None}
    for option, path in outputs.items():
        if path is None:
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
