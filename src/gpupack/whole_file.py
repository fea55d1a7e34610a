"""Text files that are written whole or not at all.

They are written beside their target and renamed, so that a failed run leaves either
the old file or the new one, never half of one.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO


@contextmanager
def replace_file(path: str | Path) -> Iterator[IO[str]]:
    """Open a file that takes the place of ``path`` when the block succeeds.

    A link is followed. A pipe or a device is no file that another could take the place
    of: it is opened and written to.

    Raises:
        StoreError: If the folder does not exist or cannot be written to.
    """
    mode = file_mode(path)
    if mode is not None and stat.S_ISDIR(mode):
        raise StoreError(f"cannot write {str(path)!r}: it is a folder; name a file")
    if mode is not None and not stat.S_ISREG(mode):
        try:
            with Path(path).open("w", encoding="utf-8") as stream:
                yield stream
        except OSError as err:
            raise StoreError(f"cannot write {str(path)!r}: {err.strerror}") from err
        return
    target = Path(os.path.realpath(path))
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent or "."
        )
    except OSError as err:
        raise StoreError(
            f"cannot write {str(path)!r}: {err.strerror}; give a path in a folder "
            "that exists and can be written to"
        ) from err
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
        raise StoreError(f"cannot write {str(path)!r}: {err.strerror}") from err
    except BaseException:
        _remove(name)
        raise


def file_mode(path: str | Path) -> int | None:
    """Return the mode of what a path leads to, None if that is nothing to be had."""
    try:
        return Path(path).stat().st_mode
    except OSError:
        return None


def _remove(name: str) -> None:
    with suppress(OSError):
        Path(name).unlink()


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
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror}") from err
    except ValueError as err:
        raise StoreError(f"{str(path)!r} is not UTF-8 text: {err}") from err
