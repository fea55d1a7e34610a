"""Profiles, or where they are: a file of them, or the name of a built-in example."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gpupack.errors import GpupackError, InvalidInputError
from gpupack.examples import example_names, load_example
from gpupack.files import AnyPath, file_mode
from gpupack.importers.reader import read_profiles
from gpupack.importers.table import WISHES_NOTE
from gpupack.importers.table_wishes import read_table_wishes
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.request import Request

ProfilesLike = ProfileSet | AnyPath
"""Profiles, the path of a file that holds some, or the name of a built-in example."""
TABLE_ENDINGS = (".csv", ".tsv")
"""Of files that hold profiles, and may hold wishes beside them."""


def profiles_of(
    source: ProfilesLike, *, read: Callable[[AnyPath], ProfileSet] = read_profiles
) -> ProfileSet:
    """Return profiles as they are, or those that a path or a name stands for.

    Args:
        source: What was given.
        read: Reads a file.

    Raises:
        InvalidInputError: If it is none of these; names the examples.
        StoreError: If the file cannot be read.
    """
    if isinstance(source, ProfileSet):
        return source
    if not isinstance(source, str | os.PathLike):
        raise InvalidInputError(
            f"profiles is {quoted(source)}; give what gpupack.read_profiles(path) "
            "returns, or the path itself"
        )
    if file_mode(source) is not None:
        profiles = read(source)
        if not _is_table(source):
            return profiles
        # They are read from the file itself: see wishes_beside().
        notes = tuple(one for one in profiles.notes if WISHES_NOTE not in one)
        return profiles.model_copy(update={"notes": notes})
    name = os.fspath(source)
    if name in example_names():
        return load_example(name)
    raise InvalidInputError(
        f"{quoted(name)} is neither a file nor a built-in example; the examples are "
        f"{', '.join(example_names())}"
    )


def wishes_beside(
    source: ProfilesLike,
    *,
    columns: Mapping[str, str] | None = None,
    model_name: str | None = None,
    batch_size: int | None = None,
) -> Request | None:
    """Return what the columns of a table ask, where the profiles are in one.

    None for other sources, and for tables that ask nothing.

    Args:
        source: What was given.
        columns: As ``read_profiles()`` takes it.
        model_name: Likewise.
        batch_size: Likewise.

    Raises:
        ProfileDataError: If a row contradicts another, or has no such value.
        InvalidInputError: If a value is none that the wish can have.
    """
    if isinstance(source, str | os.PathLike) and _is_table(source):
        return read_table_wishes(
            source, columns=columns, model_name=model_name, batch_size=batch_size
        )
    return None


def _is_table(source: AnyPath) -> bool:
    """Return whether a path is that of a table on disk, which may hold wishes."""
    path = Path(os.fsdecode(source))
    if path.suffix.lower() not in TABLE_ENDINGS:
        return False
    mode = file_mode(path)
    return mode is not None and stat.S_ISREG(mode)


@contextmanager
def told_with(warnings: Sequence[str]) -> Iterator[None]:
    """Add warnings about what was asked as notes to an error that ends the question."""
    try:
        yield
    except GpupackError as err:
        for text in warnings:
            err.add_note(text)
        raise
