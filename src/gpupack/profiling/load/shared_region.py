"""A piece of system shared memory that client and server both see."""

from __future__ import annotations

import os
import uuid
from multiprocessing import resource_tracker, shared_memory
from typing import Self

_SHM_FOLDER = "/dev/shm"


class SharedRegion:
    """A named region of ``num_bytes``, removed at the end of its context.

    Raises:
        OSError: There is not so much shared memory left.
    """

    def __init__(self, num_bytes: int) -> None:
        free = os.statvfs(_SHM_FOLDER)
        # The kernel would grant the region and kill whoever touches a page too many.
        if free.f_bavail * free.f_frsize < num_bytes:
            raise OSError(f"{_SHM_FOLDER} has no {num_bytes} bytes left")
        self.name = f"gpupack-{uuid.uuid4().hex[:16]}"
        self.num_bytes = num_bytes
        self._memory = shared_memory.SharedMemory(
            self.name, create=True, size=num_bytes
        )

    @property
    def key(self) -> str:
        """The name by which another process opens the region."""
        return f"/{self.name}"

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put ``data`` at ``offset``."""
        buffer = self._memory.buf
        assert buffer is not None  # None only after close()
        buffer[offset : offset + len(data)] = data

    def close(self) -> None:
        """Remove the region; nothing if it is gone."""
        self._memory.close()
        try:
            self._memory.unlink()
        except FileNotFoundError:
            resource_tracker.unregister(f"/{self.name}", "shared_memory")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
