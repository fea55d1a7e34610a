"""Calls of compiled code that end at a deadline, and at once when interrupted.

A compiled search neither looks at the clock nor lets Ctrl-C through before it
returns. So it runs in a thread, without the interpreter's lock, and looks at a flag
that this thread raises.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Result = TypeVar("Result")


def new_flag() -> NDArray[np.int8]:
    """Return a flag that is down: one number, not 0 once a search is to stop."""
    return np.zeros(1, dtype=np.int8)


def call_until(
    deadline: float, function: Callable[..., Result], *args: object
) -> Result:
    """Return ``function(*args, flag)``; the flag goes up at the deadline.

    Args:
        deadline: On the clock of ``time.perf_counter``; infinite for none.
        function: Returns soon after the flag went up.
        *args: Its arguments before the flag.

    Raises:
        KeyboardInterrupt: If it comes meanwhile; the call has then ended.
    """
    flag = new_flag()
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args, flag))
        except BaseException as err:
            future.set_exception(err)

    thread = threading.Thread(target=run, daemon=True, name="gpupack-search")
    thread.start()
    try:
        left_s = deadline - time.perf_counter()
        thread.join(
            timeout=max(0.0, left_s) if left_s < threading.TIMEOUT_MAX else None
        )
    finally:
        flag[0] = 1
        thread.join()
    return future.result()
