"""Files: written whole or not at all, one writer at a time, and mended after a kill.

Whole files are written beside their target and renamed, so that a failed run leaves
either the old file or the new one, never half of one. Files of JSON Lines grow by
lines; what a run that was killed leaves of its last one can be told from a file that
gpupack never wrote, which is not touched.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gpupack.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STREAMS = ("/dev/stdout", "/dev/stderr")
_STREAM_FOLDERS = ("/dev/fd", "/proc/self/fd")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WAYS_OUT = {
    errno.EISDIR: "it is a folder; name a file in it",
    errno.ENOSPC: "make room, or give a path on another disk",
    errno.EFBIG: "make room, or give a path on another disk",
    errno.ENAMETOOLONG: "give a shorter one",
}


@contextmanager
def replace_file(path: str | Path) -> Iterator[IO[str]]:
    """Open a file that takes the place of ``path`` when the block succeeds.

    A link stays, and what it leads to is replaced. What is no file, such as a pipe or
    ``/dev/stdout``, is written to as it is.

    Raises:
        StoreError: If the folder does not exist or cannot be written to.
    """
    given = Path(path)
    mode = file_mode(given)
    if mode is not None and stat.S_ISDIR(mode):
        raise StoreError(f"cannot write {str(path)!r}: {_WAYS_OUT[errno.EISDIR]}")
    if _is_stream(given):
        try:
            with given.open("a", encoding="utf-8") as stream:
                yield stream
        except OSError as err:
            raise cannot_write(given, err) from err
        return
    target = Path(os.path.realpath(given))
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent
        )
    except OSError as err:
        raise cannot_write(given, err) from err
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private; a result is as readable as the umask says.
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(target)
    except OSError as err:
        _remove(name)
        raise cannot_write(given, err) from err
    except BaseException:
        _remove(name)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all.

    Raises:
        StoreError: If the folder does not exist or cannot be written to.
    """
    with replace_file(path) as stream:
        stream.write(text)


def read_text(path: str | Path) -> str:
    """Return a file's text.

    Raises:
        StoreError: If it does not exist, cannot be read or is not UTF-8.
    """
    return decode(read_bytes(path), path)


def read_bytes(path: str | Path) -> bytes:
    """Return what a file holds.

    Raises:
        StoreError: If it does not exist or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror}") from err
    except ValueError as err:  # a zero byte in the path
        raise StoreError(f"cannot read {str(path)!r}: {err}") from err


def decode(content: bytes, path: str | Path) -> str:
    """Return the text of what was read from ``path``, every line end a newline.

    Raises:
        StoreError: If it is not UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except ValueError as err:
        found = "UTF-16" if content.startswith(_UTF16_MARKS) else f"not UTF-8: {err}"
        raise StoreError(
            f"{str(path)!r} is not UTF-8 text (it is {found}); save it as UTF-8"
        ) from err
    return text.replace("\r\n", "\n").replace("\r", "\n")


def append_line(path: str | Path, line: str) -> None:
    """Append a line and wait until it is on the disk.

    Raises:
        StoreError: If the file cannot be written; then it is as it was before.
    """
    left = memoryview(f"{line}\n".encode())
    try:
        with Path(path).open("ab", buffering=0) as file:
            size_before = os.fstat(file.fileno()).st_size
            try:
                while left:
                    left = left[file.write(left) or 0 :]
                os.fsync(file.fileno())
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), size_before)
                raise
    except OSError as err:
        raise StoreError(
            f"cannot append to {str(path)!r}: {err.strerror}; {_way_out(err)}"
        ) from err


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


def mend_last_line(path: Path, keys: Sequence[str]) -> None:
    """Cut what a kill left of the last line, so that lines can be appended.

    A last line that only lacks its newline is given one.
    """
    with path.open("r+b") as file:
        content = file.read()
        whole, rest = split_cut_line(content, keys)
        if rest:
            file.truncate(len(whole))
        elif content and not content.endswith(b"\n"):
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
        else:
            return
        file.flush()
        os.fsync(file.fileno())


def lock_file(path: Path, *, writer: str, option: str) -> IO[bytes]:
    """Make the file, if there is none, and keep others from writing to it.

    Args:
        path: The file.
        writer: Who writes to it, as in "another WRITER is writing".
        option: What another file is named with.

    Returns:
        The open file; closing it lets others in.

    Raises:
        StoreError: It cannot be written, or another writer has it.
    """
    while True:
        try:
            existed = path.exists()
            handle = path.open("a+b")
        except OSError as err:
            raise cannot_write(path, err) from err
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not existed:
                _sync_folder(path.parent)
            if os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError as err:
            handle.close()
            raise StoreError(
                f"another {writer} is writing to {str(path)!r}; wait for it, or give "
                f"another {option}"
            ) from err
        except OSError as err:
            handle.close()
            raise cannot_write(path, err) from err
        handle.close()  # replaced before it was locked: lock the new one


def cannot_write(path: str | Path, err: OSError) -> StoreError:
    """Return the error to raise where a file cannot be written."""
    return StoreError(f"cannot write {str(path)!r}: {err.strerror}; {_way_out(err)}")


def _way_out(err: OSError) -> str:
    return _WAYS_OUT.get(
        err.errno or 0, "give a path in a folder that exists and can be written to"
    )


def file_mode(path: str | Path) -> int | None:
    """Return the mode of what a path leads to, None if that is nothing to be had."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):  # no file can have such a name
        return None


def _is_stream(path: Path) -> bool:
    """Whether ``path`` is something to write to, rather than a file to replace."""
    if str(path) in _STREAMS or str(path.parent) in _STREAM_FOLDERS:
        return True
    mode = file_mode(path)
    return mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _remove(name: str) -> None:
    with suppress(OSError):
        Path(name).unlink()


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as lasting as its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
