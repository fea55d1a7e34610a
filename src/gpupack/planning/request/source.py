"""Profiles, or where they are: a file of them, or the name of a built-in example."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gpupack.errors import (
    GpupackError,
    InvalidInputError,
    ProfileDataError,
    StoreError,
)
from gpupack.examples import example_names, load_example
from gpupack.files import AnyPath, file_mode
from gpupack.importers.reader import read_profiles
from gpupack.importers.source_text import ending_of
from gpupack.importers.table import WISHES_NOTE
from gpupack.importers.table_wishes import table_in, wishes_of
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.request import Request

ProfilesLike = ProfileSet | AnyPath
"""Profiles, the path of a file that holds some, or the name of a built-in example."""
_REQUEST_ENDINGS = (".yaml", ".yml", ".toml")
"""Of files that hold no table: of what is asked alone."""
_TABLE_ENDINGS = (".csv", ".tsv")
"""Of files that hold nothing but a table."""


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
        if not _may_be_table(source):
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
    units: Mapping[str, str] | None = None,
) -> Request | None:
    """Return what the columns of a table ask, where the profiles are in one.

    None for other sources, and for tables that ask nothing.

    Args:
        source: What was given.
        columns: As ``read_profiles()`` takes it.
        model_name: Likewise.
        batch_size: Likewise.
        units: Likewise.

    Raises:
        ProfileDataError: If a row contradicts another, or has no such value.
        InvalidInputError: If a value is none that the wish can have.
    """
    if not isinstance(source, str | os.PathLike) or not _may_be_table(source):
        return None
    try:
        table = table_in(source)
    except (ProfileDataError, StoreError):
        if ending_of(Path(source)) in _TABLE_ENDINGS:
            raise
        return None  # whoever reads the profiles says what it is
    if table is None:
        return None
    return wishes_of(
        table,
        columns=columns,
        model_name=model_name,
        batch_size=batch_size,
        units=units,
    )


def _may_be_table(source: AnyPath) -> bool:
    """Return whether a path is that of a file on disk, which may hold wishes."""
    path = Path(os.fsdecode(source))
    if path.suffix.lower() in _REQUEST_ENDINGS:
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
