"""No looking for garbage while many records are made."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let no garbage be looked for: a hundred thousand records are none.

    Looking through all of them again and again takes a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():
                gc.freeze()  # all there is becomes old at once,
                gc.unfreeze()  # rather than being looked through for that
            gc.enable()
