"""Files: written whole or not at all, and read up to a size.

Whole files are written beside their target and renamed, so that a failed run leaves
either the old file or the new one, never half of one. Files that grow line by line are
in ``gpupack.json_lines``.

Nothing is read that may have no end: a device, a named pipe, a socket, or a file of
more than ``MAX_FILE_BYTES``. Standard input and the pipes that a shell makes are read,
up to that size.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
import tempfile
from collections import deque
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpupack.errors import InvalidInputError, StoreError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

AnyPath: TypeAlias = str | os.PathLike[str]
"""What is taken for a path."""

MAX_FILE_BYTES = 512 * 1024 * 1024
"""More than this is not read: some 200,000 profile records with all their readings."""

_STREAMS = ("/dev/stdout", "/dev/stderr")
_STREAM_FOLDERS = ("/dev/fd", "/proc/self/fd")
_SHELL_FOLDERS = ("/dev/fd/", "/proc/")
"""Where a shell's process substitution, and standard input, have their names."""
_KIND_BY_MODE = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}
GZIP = b"\x1f\x8b"
"""How a file begins that gzip has compressed."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How text of Excel ("Unicode Text") and of PowerShell begins."""
_WITH_PANDAS = (
    "python -c \"import pandas; pandas.{reader}('FILE').to_csv('FILE.csv', "
    'index=False)"'
)
_FOUND_BY_BEGINNING = {
    GZIP: "compressed by gzip; unpack it: gunzip FILE",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it: unzstd FILE",
    b"BZh": "compressed by bzip2; unpack it: bunzip2 FILE",
    b"\xfd7zXZ": "compressed by xz; unpack it: unxz FILE",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet; unpack the one, and save the other "
    f"as CSV, with its own program or {_WITH_PANDAS.format(reader='read_excel')}",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of an old Excel; save it as CSV, with its own "
    f"program or {_WITH_PANDAS.format(reader='read_excel')}",
    b"PAR1": "a Parquet file; write it as CSV: "
    f"{_WITH_PANDAS.format(reader='read_parquet')}",
    b"ARROW1": "a Feather (Arrow) file; write it as CSV: "
    f"{_WITH_PANDAS.format(reader='read_feather')}",
    b"SQLite format 3": "an SQLite database; write its table as CSV: sqlite3 -header "
    "-csv FILE 'SELECT * FROM TABLE'",
    b"%PDF": "a PDF; give the table that it was made of, as CSV",
}
"""What a file is that is no text, and how to make one of it."""
_WAYS_OUT = {
    errno.EISDIR: "it is a folder; name a file in it",
    errno.ENOSPC: "make room, or give a path on another disk",
    errno.EFBIG: "make room, or give a path on another disk",
    errno.ENAMETOOLONG: "give a shorter one",
}


@contextmanager
def replace_file(path: AnyPath) -> Iterator[TextIOWrapper]:
    """Open a file that takes the place of ``path`` when the block succeeds.

    A link stays, and what it leads to is replaced. What is no file, such as a pipe or
    ``/dev/stdout``, is written to as it is.

    Raises:
        StoreError: If the folder does not exist or cannot be written to.
    """
    given = as_path(path)
    mode = file_mode(given)
    if mode is not None and stat.S_ISDIR(mode):
        raise StoreError(f"cannot write {quoted(str(path))}: {_WAYS_OUT[errno.EISDIR]}")
    if is_stream(given):
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
            _inherit(stream.fileno(), target)
            os.fsync(stream.fileno())
        Path(name).replace(target)
    except OSError as err:
        _remove(name)
        raise cannot_write(given, err) from err
    except BaseException:
        _remove(name)
        raise


def _inherit(handle: int, target: Path) -> None:
    """Give a file that replaces another its mode and, where permitted, its owner.

    A new file is as readable as the umask says; ``mkstemp`` makes files private.
    """
    try:
        old = target.stat()
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        return
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(OSError):
            os.fchown(handle, owner, group)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def write_text(path: AnyPath, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all.

    Raises:
        StoreError: If the folder does not exist or cannot be written to.
    """
    with replace_file(path) as stream:
        stream.write(text)


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all.

    Raises:
        StoreError: If the folder does not exist or cannot be written to.
    """
    with replace_file(path) as stream:
        stream.buffer.write(content)


def read_text(path: AnyPath) -> str:
    """Return a file's text.

    Raises:
        StoreError: If it does not exist, cannot be read or is no text (``decode``).
    """
    return decode(read_bytes(path), path)


def as_path(path: object) -> Path:
    """Return a path, however it was given.

    Raises:
        InvalidInputError: If it is neither text nor an ``os.PathLike`` of text.
    """
    try:
        given = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        given = None
    if not isinstance(given, str):
        raise InvalidInputError(
            f"{quoted(path)} is no path; give text or a pathlib.Path"
        )
    return Path(given)


def read_bytes(path: AnyPath) -> bytes:
    """Return what a file, or a shell's pipe, holds.

    Raises:
        StoreError: As ``read_parts``.
    """
    return b"".join(read_parts(path))


def read_parts(path: AnyPath) -> deque[bytes]:
    """Return what a file, or a shell's pipe, holds, in pieces of a MiB.

    Raises:
        StoreError: If it does not exist, cannot be read, is something that may have no
            end, or holds more than ``MAX_FILE_BYTES``.
    """
    given = as_path(path)
    try:
        # A named pipe that nobody writes to would never be opened otherwise.
        handle = os.open(given, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as err:
        raise cannot_read(given, err) from err
    except ValueError as err:  # a zero byte in the path
        raise StoreError(f"cannot read {quoted(str(given))}: {err}") from err
    try:
        _require_an_end(given, os.fstat(handle), MAX_FILE_BYTES)
        os.set_blocking(handle, True)
        parts = _read_up_to(handle, MAX_FILE_BYTES + 1)
    except OSError as err:
        raise cannot_read(given, err) from err
    finally:
        os.close(handle)
    if sum(map(len, parts)) > MAX_FILE_BYTES:
        raise _too_large(given, "more", MAX_FILE_BYTES)
    return parts


def read_text_parts(path: AnyPath) -> deque[bytes]:
    """Return a file's text in UTF-8, in pieces: of UTF-16 as ``decode`` reads it.

    Raises:
        StoreError: As ``read_parts``; if it begins as UTF-16 and goes on otherwise.
    """
    parts = read_parts(path)
    if parts and parts[0].startswith(_UTF_16):
        return deque([decode(b"".join(parts), path).encode()])
    return parts


def require_file(path: AnyPath, *, max_bytes: int) -> Path:
    """Return the path of a file that another library may read.

    Raises:
        StoreError: If it does not exist, is no file, or holds more.
    """
    given = as_path(path)
    try:
        _require_an_end(given, given.stat(), max_bytes)
    except OSError as err:
        raise cannot_read(given, err) from err
    except ValueError as err:  # a zero byte in the path
        raise StoreError(f"cannot read {quoted(str(given))}: {err}") from err
    return given


def _require_an_end(path: Path, found: os.stat_result, max_bytes: int) -> None:
    """Refuse what is not a file or a shell's pipe, and what is too large.

    Raises:
        StoreError: Saying what it is.
    """
    if stat.S_ISREG(found.st_mode):
        if found.st_size > max_bytes:
            raise _too_large(path, f"{found.st_size / 2**20:,.0f} MiB", max_bytes)
        return
    name = str(path)
    is_of_shell = name == "/dev/stdin" or name.startswith(_SHELL_FOLDERS)
    if stat.S_ISFIFO(found.st_mode) and is_of_shell:
        return
    kind = _KIND_BY_MODE.get(stat.S_IFMT(found.st_mode), "no file")
    if os.path.realpath(path).startswith(("/dev/pts/", "/dev/tty")):
        kind = "a terminal"
    raise StoreError(
        f"cannot read {quoted(name)}: it is {kind}; name a file, or give its content "
        "to standard input and name /dev/stdin"
    )


def _too_large(path: Path, size: str, max_bytes: int) -> StoreError:
    return StoreError(
        f"cannot read {quoted(str(path))}: it holds {size}, and at most "
        f"{max_bytes // 2**20:,} MiB are read; leave out what is not needed"
    )


def _read_up_to(handle: int, most: int) -> deque[bytes]:
    parts: deque[bytes] = deque()
    left = most
    while left and (part := os.read(handle, min(left, 2**20))):
        parts.append(part)
        left -= len(part)
    return parts


def decode(content: bytes, path: AnyPath) -> str:
    """Return the text of what was read from ``path``, every line end a newline.

    Raises:
        StoreError: If it is neither UTF-8, nor UTF-16 with a byte order mark.
    """
    is_utf_16 = content.startswith(_UTF_16)
    try:
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except ValueError as err:
        if is_utf_16:
            raise StoreError(
                f"{quoted(str(path))} is not UTF-8 text (it begins as UTF-16 and goes "
                f"on otherwise: {err}; save it as UTF-8)"
            ) from err
        found = what_it_is(content) or f"not UTF-8: {err}; save it as UTF-8"
        raise StoreError(
            f"{quoted(str(path))} is not UTF-8 text (it is {found})"
        ) from err
    return text.replace("\r\n", "\n").replace("\r", "\n")


def what_it_is(content: bytes) -> str | None:
    """Return what a file is that begins so, and the way out; None if not known."""
    for beginning, found in _FOUND_BY_BEGINNING.items():
        if content.startswith(beginning):
            return found
    return None


def cannot_read(path: AnyPath, err: OSError) -> StoreError:
    """Return the error to raise where a file cannot be read."""
    return StoreError(f"cannot read {quoted(str(path))}: {err.strerror}")


def cannot_write(path: AnyPath, err: OSError) -> StoreError:
    """Return the error to raise where a file cannot be written."""
    return StoreError(
        f"cannot write {quoted(str(path))}: {err.strerror}; {way_out(err)}"
    )


def way_out(err: OSError) -> str:
    """Return what to do where a file cannot be written."""
    return _WAYS_OUT.get(
        err.errno or 0, "give a path in a folder that exists and can be written to"
    )


def file_mode(path: AnyPath) -> int | None:
    """Return the mode of what a path leads to, None if that is nothing to be had."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):  # no file can have such a name
        return None


def is_stream(path: Path) -> bool:
    """Whether a path is something to write to, rather than a file to replace."""
    if str(path) in _STREAMS or str(path.parent) in _STREAM_FOLDERS:
        return True
    mode = file_mode(path)
    return mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _remove(name: str) -> None:
    with suppress(OSError):
        Path(name).unlink()


def sync_folder(folder: Path) -> None:
    """Make a new file's name as lasting as its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
