"""Lets models finish before their server is killed, where their code has an end."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from gpupack.errors import ServerError
from gpupack.profiling.server import TritonServer

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 5.0
"""How long models may take to finish, all together; Triton itself takes a second."""
_LOOK_S = 0.02
_LIKELY = re.compile(r"\bfinalize\b|\batexit\b|\b__del__\b")
_OWN_CLASS = re.compile(r"^class TritonPythonModel\s*:", re.MULTILINE)


def finalizes(folder: Path) -> bool:
    """Return whether a model's code may do something when it is unloaded.

    That is so where Python in its folder names ``finalize``, ``atexit`` or ``__del__``,
    and where its class comes from elsewhere or inherits. Models without Python code are
    those of Triton's own backends, which keep nothing.
    """
    try:
        paths = (*folder.glob("*.py"), *folder.glob("*/*.py"))
        code = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    except OSError:
        return True
    if not code:
        return False
    is_plain = any(_OWN_CLASS.search(one) for one in code)
    return not is_plain or any(_LIKELY.search(one) for one in code)


def finish(url: str, repository: Path, *, patience_s: float = PATIENCE_S) -> None:
    """Have a server unload what finalizes, and wait until it has, or time is up.

    A server that does not answer is left as it is.
    """
    deadline = time.monotonic() + patience_s
    try:
        with TritonServer(url) as server:
            left = {
                one.name
                for one in server.repository()
                if one.is_held and finalizes(repository / one.name)
            }
            for name in sorted(left):
                server.unload(name, timeout_s=patience_s, wait=False)
            while left and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
                left &= {one.name for one in server.repository() if one.is_held}
    except ServerError:
        return
