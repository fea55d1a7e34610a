"""Compile inner loops with numba; importing this module imports numba."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile on first call, keep the machine code on disk, release the GIL."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast("Function", compiled)
