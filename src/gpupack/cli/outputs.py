"""Files that a command writes: none of them may be one that it reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
    taken = {Path(one).resolve(): "that is read" for one in inputs if one is not None}
    for option, path in outputs.items():
        if path is None or (path.exists() and not path.is_file()):
            continue
        place = path.resolve()
        if place in taken:
            raise InvalidInputError(
                f"{option} {path}: that is the file {taken[place]}, too; name another"
            )
        taken[place] = f"that {option} writes"
