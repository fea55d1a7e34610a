"""The library of the kernels, and how its functions are called.

Calls release the interpreter's lock: other threads run while a search does.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gpupack.packing.kernels import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

INTEGER, REAL = ctypes.c_int64, ctypes.c_double
INTEGERS = np.ctypeslib.ndpointer(np.int64, flags="C_CONTIGUOUS")
SHORT_INTEGERS = np.ctypeslib.ndpointer(np.int16, flags="C_CONTIGUOUS")
REALS = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
FLAGS = np.ctypeslib.ndpointer(np.bool_, flags="C_CONTIGUOUS")
STATE = np.ctypeslib.ndpointer(np.uint64, flags="C_CONTIGUOUS")
STOP = np.ctypeslib.ndpointer(np.int8, flags="C_CONTIGUOUS")
OUT_OF_MEMORY = -1000
"""What a kernel returns that got no memory (``scratch.h``)."""


@cache
def load() -> ctypes.CDLL:
    """Return the library.

    Raises:
        KernelsNotBuiltError: If there is none.
        OSError: If it cannot be loaded.
    """
    path = build.find_library()
    if path is None:
        raise build.KernelsNotBuiltError("the kernels were not built")
    return ctypes.CDLL(str(path))


class Kernel:
    """A function of the library, looked up when it is first called.

    Args:
        name: In the C file.
        *types: Of its arguments; arrays of another type or layout are refused.
    """

    def __init__(self, name: str, *types: Any) -> None:
        self._name = name
        self._types = types
        self._function: Any = None

    def __call__(self, *args: object) -> int:
        """Return what the function returns.

        Raises:
            MemoryError: If it got no memory.
        """
        if self._function is None:
            function = load()[self._name]
            function.argtypes, function.restype = self._types, INTEGER
            self._function = function
        result: int = self._function(*args)
        if result == OUT_OF_MEMORY:
            raise MemoryError(f"no memory for {self._name}")
        return result


class Arrays(ctypes.Structure):
    """Sizes, then pointers to arrays, as in a struct of the C file."""

    def fill(
        self, sizes: Sequence[int], arrays: object, *, is_written: bool = False
    ) -> None:
        """Set all fields.

        Args:
            sizes: The first fields.
            arrays: Has the others as attributes; kept alive by this structure.
            is_written: Whether the kernel writes to them: they are not copied then.

        Raises:
            TypeError: If arrays would have to be copied that are written to.
        """
        fields = cast("Sequence[tuple[str, Any]]", self._fields_)
        for (name, _), size in zip(fields, sizes, strict=False):
            setattr(self, name, size)
        self._kept = []
        for name, kind in fields[len(sizes) :]:
            given = getattr(arrays, name)
            array = np.ascontiguousarray(given, dtype=np.dtype(kind._type_))
            if is_written and array is not given:
                raise TypeError(f"{name} is {given.dtype}, or not contiguous")
            self._kept.append(array)
            setattr(self, name, array.ctypes.data_as(kind))


INTEGERS_FIELD = ctypes.POINTER(ctypes.c_int64)
REALS_FIELD = ctypes.POINTER(ctypes.c_double)
FLAGS_FIELD = ctypes.POINTER(ctypes.c_bool)


def integers(values: ArrayLike) -> NDArray[np.int64]:
    """Return an array that a kernel can read; not copied if it is one."""
    return _as(values, np.int64)


def reals(values: ArrayLike) -> NDArray[np.float64]:
    """Return an array that a kernel can read; not copied if it is one."""
    return _as(values, np.float64)


def _as(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype=dtype)
