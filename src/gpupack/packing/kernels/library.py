"""The library of the kernels, and how its functions are called.

Calls release the interpreter's lock: other threads run while a search does.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

import numpy as np

from gpupack.packing.kernels import build

if TYPE_CHECKING:
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


class Struct:
    """A struct of a C file: sizes, then pointers to arrays.

    Args:
        name: In the C file.
        arrays: A named tuple. Its fields are the struct's arrays, in this order, and
            annotated as ``NDArray`` of what they hold.
        *sizes: Names of the fields before those.
        is_written: Whether kernels write to the arrays: they are not copied then.
    """

    def __init__(
        self, name: str, arrays: type[Any], *sizes: str, is_written: bool = False
    ) -> None:
        self.name = name
        self._sizes = sizes
        self._arrays: dict[str, tuple[type[np.generic], Any]] = {}
        for field, hint in get_type_hints(arrays).items():
            (dtype,) = get_args(get_args(hint)[1])  # NDArray[T] is [shape, dtype[T]]
            kind = ctypes.POINTER(np.ctypeslib.as_ctypes_type(dtype))
            self._arrays[field] = dtype, kind
        self._is_written = is_written
        self.fields = (
            *((size, INTEGER) for size in sizes),
            *((field, kind) for field, (_, kind) in self._arrays.items()),
        )
        self._type: Any = type(name, (ctypes.Structure,), {"_fields_": self.fields})
        self.pointer: Any = ctypes.POINTER(self._type)
        """The type of an argument that points to one."""

    def of(self, arrays: object, **sizes: int) -> ctypes.Structure:
        """Return one with these sizes that points to these arrays, and keeps them.

        Args:
            arrays: The named tuple.
            **sizes: Each by its name.

        Raises:
            TypeError: If arrays would have to be copied that are written to.
        """
        structure = self._type(*(sizes[size] for size in self._sizes))
        structure.kept = []
        for field, (dtype, kind) in self._arrays.items():
            given = getattr(arrays, field)
            array = np.ascontiguousarray(given, dtype=dtype)
            if self._is_written and array is not given:
                raise TypeError(f"{field} is {given.dtype}, or not contiguous")
            structure.kept.append(array)
            setattr(structure, field, array.ctypes.data_as(kind))
        return cast("ctypes.Structure", structure)


def integers(values: ArrayLike) -> NDArray[np.int64]:
    """Return an array that a kernel can read; not copied if it is one."""
    return _as(values, np.int64)


def reals(values: ArrayLike) -> NDArray[np.float64]:
    """Return an array that a kernel can read; not copied if it is one."""
    return _as(values, np.float64)


def _as(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype=dtype)
