"""Profiles, or where they are: a file of them, or the name of a built-in example."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gpupack.errors import GpupackError, InvalidInputError
from gpupack.examples import example_names, load_example
from gpupack.files import AnyPath, file_mode
from gpupack.importers.reader import read_profiles
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted

ProfilesLike = ProfileSet | AnyPath
"""Profiles, the path of a file that holds some, or the name of a built-in example."""


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
        return read(source)
    name = os.fspath(source)
    if name in example_names():
        return load_example(name)
    raise InvalidInputError(
        f"{quoted(name)} is neither a file nor a built-in example; the examples are "
        f"{', '.join(example_names())}"
    )


@contextmanager
def told_with(warnings: Sequence[str]) -> Iterator[None]:
    """Add warnings about what was asked as notes to an error that ends the question."""
    try:
        yield
    except GpupackError as err:
        for text in warnings:
            err.add_note(text)
        raise
