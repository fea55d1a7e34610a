"""The text of a source, unpacked where gzip has compressed it.

Only what is read is unpacked: files that gpupack appends to are as they are.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import deque
from pathlib import Path

from gpupack.errors import StoreError
from gpupack.files import (
    GZIP,
    MAX_FILE_BYTES,
    AnyPath,
    decode,
    read_text_parts,
)
from gpupack.quoting import quoted

GZIP_ENDING = ".gz"


def read_source_parts(path: AnyPath) -> deque[bytes]:
    """Return a source's text, in pieces of a MiB.

    Raises:
        StoreError: As ``files.read_text_parts``; if it is compressed and damaged, or
            holds more than ``MAX_FILE_BYTES`` once it is unpacked.
    """
    parts = read_text_parts(path)
    if not parts or not parts[0].startswith(GZIP):
        return parts
    return _unpacked(b"".join(parts), path)


def read_source_text(path: AnyPath) -> str:
    """Return a source's text, every line end a newline.

    Raises:
        StoreError: As ``read_source_parts``; if it is no text (``files.decode``).
    """
    return decode(b"".join(read_source_parts(path)), path)


def stem_of(path: Path) -> str:
    """Return a source's name without its ending, and without gzip's behind it."""
    is_packed = path.suffix.lower() == GZIP_ENDING
    return (path.with_suffix("") if is_packed else path).stem


def ending_of(path: Path) -> str:
    """Return how a source's name ends, in small letters, but for gzip's ending."""
    is_packed = path.suffix.lower() == GZIP_ENDING
    return (path.with_suffix("") if is_packed else path).suffix.lower()


def _unpacked(content: bytes, path: AnyPath) -> deque[bytes]:
    parts: deque[bytes] = deque()
    left = MAX_FILE_BYTES
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            while part := stream.read(2**20):
                parts.append(part)
                left -= len(part)
                if left < 0:
                    raise StoreError(
                        f"cannot read {quoted(str(path))}: unpacked it holds more than "
                        f"{MAX_FILE_BYTES // 2**20:,} MiB, which are read at most; "
                        "leave out what is not needed"
                    )
    except (EOFError, OSError, zlib.error) as err:
        raise StoreError(
            f"cannot read {quoted(str(path))}: it is compressed by gzip, and damaged "
            f"or cut off ({err}); compress it again, or give it as it was before"
        ) from err
    return parts
