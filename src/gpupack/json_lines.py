"""Files of JSON Lines: one writer at a time, appended to, mended after a kill.

What a run that was killed leaves of its last line can be told from a file that gpupack
never wrote, which is not touched.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Self, TypeVar

from gpupack.errors import StoreError
from gpupack.files import (
    AnyPath,
    as_path,
    cannot_write,
    file_mode,
    is_stream,
    read_bytes,
    replace_file,
    sync_folder,
    way_out,
)
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")


def split_cut_line(content: bytes, keys: Sequence[str]) -> tuple[bytes, bytes]:
    """Return a file of JSON Lines without what a kill left of its last line, and that.

    Only the beginning of an object whose first key is one of ``keys`` is taken for
    such a rest: whatever else a file ends with was not cut off by gpupack, nor was a
    last line that lacks nothing but its newline.
    """
    start = content.rfind(b"\n") + 1
    tail = content[start:]
    with suppress(ValueError, RecursionError):
        json.loads(tail)
        return content, b""
    openings = [f'{{"{key}":'.encode() for key in keys]
    is_rest = any(
        tail.startswith(opening) or opening.startswith(tail) for opening in openings
    )
    return (content[:start], tail) if tail and is_rest else (content, b"")


def split_lines(parts: deque[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file in pieces, which are let go of as they are read.

    Without their ends, whatever those are; the last is what follows the last end, and
    may be empty.
    """
    rest = b""
    while parts:
        *lines, rest = (rest + parts.popleft()).split(b"\n")
        for line in lines:
            if b"\r" in line:
                yield from line.removesuffix(b"\r").split(b"\r")
            else:
                yield line
    yield from rest.split(b"\r")


class JsonLinesFile:
    """A file of JSON Lines that nobody else writes to while it is open.

    Made if there is none. Used as a context, or closed by ``close()``.

    Args:
        path: The file.
        keys: What a line may begin with, to tell what a kill left of one.
        writer: Who writes to it, as in "another WRITER is writing".
        option: What another file is named with.

    Raises:
        StoreError: It cannot be written, or another writer has it.
    """

    def __init__(
        self, path: AnyPath, keys: Sequence[str], *, writer: str, option: str
    ) -> None:
        self.path = as_path(path)
        self._keys = keys
        self._writer = writer
        self._option = option
        self._is_mended = False
        self._is_new = False
        self._handle = self._lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write to it; a file made here that holds nothing is removed."""
        if self._is_new and not self._handle.closed:
            with suppress(OSError):
                # Still locked: who waits for it finds it gone, and makes another.
                found = os.fstat(self._handle.fileno())
                if not found.st_size and os.path.samestat(found, self.path.stat()):
                    self.path.unlink()
        self._handle.close()

    def is_at(self, path: AnyPath) -> bool:
        """Return whether a path leads to this file."""
        return os.path.realpath(path) == os.path.realpath(self.path)

    def append(self, line: str) -> None:
        """Append a line and wait until it is on the disk.

        What a kill left of the last line is cut off before; a last line that only
        lacks its newline is given one.

        Raises:
            StoreError: If the file cannot be written; then it is as it was before.
        """
        self._follow()
        self.mend()
        content = f"{line}\n".encode()
        left = memoryview(content)
        handle = self._handle.fileno()
        try:
            size_before = os.fstat(handle).st_size
            try:
                while left:
                    left = left[os.write(handle, left) :]
                os.fsync(handle)
            except BaseException as err:
                # Ctrl-C after the last byte, in fsync(), takes nothing back.
                is_written = os.fstat(handle).st_size == size_before + len(content)
                if isinstance(err, OSError) or not is_written:
                    self._is_mended = False
                    with suppress(OSError):
                        os.ftruncate(handle, size_before)
                raise
        except OSError as err:
            raise self._cannot_append(err) from err

    def replace(self, lines: Iterable[str]) -> None:
        """Put these lines in place of all there are, which stay if that fails.

        Raises:
            StoreError: If the file cannot be written.
        """
        self._follow()
        new: int | None = None
        try:
            with replace_file(self.path) as stream:
                # Locked before it has the name, so that nobody comes in between.
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                new = os.dup(stream.fileno())
                fcntl.fcntl(new, fcntl.F_SETFL, os.O_APPEND)
                stream.writelines(f"{line}\n" for line in lines)
        except BaseException:
            if new is not None:
                os.close(new)
            raise
        self._handle.close()
        self._handle = os.fdopen(new, "a+b", buffering=0)
        self._is_mended = True

    def _follow(self) -> None:
        """Open the file anew if another program has replaced or removed it.

        Lines would be lost with the old one.
        """
        found: os.stat_result | None
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found and os.path.samestat(os.fstat(self._handle.fileno()), found):
            return
        self._handle.close()
        self._handle = self._lock()
        self._is_mended = False

    def resume(self, read: Callable[[], T]) -> T:
        """Return what the file holds, whose cut-off last line is then taken away.

        Args:
            read: Reads it, without such a line. Where it fails the file is closed.
        """
        try:
            known = read()
            self.mend()
        except BaseException:
            self.close()
            raise
        return known

    def mend(self) -> None:
        """Cut off what a kill left of the last line; ``append`` does it in any case.

        Raises:
            StoreError: If the file cannot be written.
        """
        if self._is_mended:
            return
        content = read_bytes(self.path)
        whole, rest = split_cut_line(content, self._keys)
        handle = self._handle.fileno()
        try:
            if rest:
                os.ftruncate(handle, len(whole))
            elif content and not content.endswith(b"\n"):
                os.write(handle, b"\n")
        except OSError as err:
            raise self._cannot_append(err) from err
        self._is_mended = True

    def _cannot_append(self, err: OSError) -> StoreError:
        return StoreError(
            f"cannot append to {quoted(str(self.path))}: {err.strerror}; {way_out(err)}"
        )

    def _lock(self) -> IO[bytes]:
        while True:
            try:
                existed = self.path.exists()
                handle = self.path.open("a+b", buffering=0)
            except OSError as err:
                raise cannot_write(self.path, err) from err
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not existed:
                    self._is_new = True
                    sync_folder(self.path.parent)
                if os.path.samestat(os.fstat(handle.fileno()), self.path.stat()):
                    return handle
            except FileNotFoundError:
                pass
            except BlockingIOError as err:
                handle.close()
                raise StoreError(
                    f"another {self._writer} is writing to {quoted(str(self.path))}; "
                    f"wait for it, or give another {self._option}"
                ) from err
            except OSError as err:
                handle.close()
                raise cannot_write(self.path, err) from err
            handle.close()  # replaced before it was locked: lock the new one


def write_lines(path: AnyPath, keys: Sequence[str], lines: Iterable[str]) -> None:
    """Write a whole file of JSON Lines, or nothing.

    Raises:
        StoreError: If the file cannot be written, or somebody appends to it.
    """
    target = as_path(path)
    if file_mode(target) is None or is_stream(target) or target.is_dir():
        with replace_file(target) as stream:
            stream.writelines(f"{line}\n" for line in lines)
        return
    with JsonLinesFile(target, keys, writer="run", option="path") as file:
        file.replace(lines)
