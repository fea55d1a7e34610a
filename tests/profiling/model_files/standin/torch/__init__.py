"""What gpupack uses of PyTorch, on NumPy: for machines that PyTorch is too large for.

A model file of this stand-in is an archive laid out as PyTorch lays its own out, with a
``network.json`` that says its inputs; it gives, for each input, its mean per item.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import json
import types
import zipfile
from typing import Any

import numpy as np

__version__ = "0.0+standin"

float16, float32, float64 = map(np.dtype, (np.float16, np.float32, np.float64))
int8, int16, int32, int64 = map(np.dtype, (np.int8, np.int16, np.int32, np.int64))
uint8 = np.dtype(np.uint8)
bool = np.dtype(np.bool_)  # noqa: A001
bfloat16 = "bfloat16"
cuda = types.SimpleNamespace(is_available=lambda: False)


class device:  # noqa: N801
    def __init__(self, kind: str, index: int = 0) -> None:
        self.type = kind


class Tensor:
    def __init__(self, array: Any, shape: Any = None) -> None:
        self.array = array
        self.shape = array.shape if shape is None else shape
        self.dtype = array.dtype

    def to(self, target: Any) -> Tensor:
        is_type = isinstance(target, np.dtype)
        return Tensor(self.array.astype(target)) if is_type else self

    def is_floating_point(self) -> Any:
        return self.dtype.kind == "f"

    def contiguous(self) -> Tensor:
        return Tensor(np.ascontiguousarray(self.array))

    def numel(self) -> int:
        return int(self.array.size)

    def __dlpack__(self, **options: Any) -> Any:
        return _capsule_of(self.array)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class _ManagedTensor(ctypes.Structure):
    """DLManagedTensor of DLPack's C header."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int),
        ("device_id", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


_C = ctypes.CDLL(None)
_C.malloc.restype = ctypes.c_void_p
_KEPT: collections.deque[Any] = collections.deque(maxlen=64)


def _capsule_of(array: Any) -> Any:
    """Return a capsule whose end is that of C, which needs no lock of Python's.

    NumPy 1 takes that lock where the backend's stub holds it already.
    """
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    _KEPT.append((array, shape))
    place = _C.malloc(ctypes.sizeof(_ManagedTensor))
    managed = _ManagedTensor.from_address(place)
    managed.data = array.ctypes.data
    managed.device_type, managed.device_id = 1, 0
    managed.ndim = array.ndim
    managed.code = {"i": 0, "u": 1, "f": 2}[array.dtype.kind]
    managed.bits, managed.lanes = 8 * array.dtype.itemsize, 1
    managed.shape = ctypes.addressof(shape)
    managed.strides, managed.byte_offset, managed.manager = None, 0, None
    managed.deleter = ctypes.cast(_C.free, ctypes.c_void_p).value
    make = ctypes.pythonapi.PyCapsule_New
    make.restype = ctypes.py_object
    make.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return make(place, b"dltensor", None)


class _Capsule:
    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def from_dlpack(capsule: Any) -> Tensor:
    return Tensor(np.from_dlpack(_Capsule(capsule)).copy())


def zeros(dims: list[int], dtype: Any) -> Tensor:
    return Tensor(np.zeros(dims, dtype=dtype))


@contextlib.contextmanager
def inference_mode() -> Any:
    yield


class _Module:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.weights = [Tensor(np.ones(4, dtype=np.float32))]
        arguments = [types.SimpleNamespace(name="self", type="Self")]
        arguments += [
            types.SimpleNamespace(name=name, type=kind, has_default_value=lambda: False)
            for name, kind in told["inputs"].items()
        ]
        schema = types.SimpleNamespace(arguments=arguments)
        self.forward = types.SimpleNamespace(schema=schema)

    def eval(self) -> _Module:
        return self

    def to(self, target: Any) -> _Module:
        self.weights = [one.to(target) for one in self.weights]
        return self

    def parameters(self) -> list[Tensor]:
        return self.weights

    def __call__(self, *tensors: Tensor) -> Any:
        means = []
        for one, wanted in zip(tensors, self.told["kinds"], strict=True):
            if one.dtype.kind != wanted:
                raise RuntimeError(f"expected {wanted}, got {one.dtype}\nsecond line")
            flat = one.array.reshape(len(one.array), -1).astype(np.float32)
            means.append(Tensor(flat.mean(axis=1, keepdims=True)))
        return means[0] if len(means) == 1 else means


def _read(path: str) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("network.json")]
        return dict(json.loads(archive.read(name)))


def _load_script(path: str, map_location: Any = None) -> _Module:
    told = _read(path)
    if "operator" in told:
        raise RuntimeError(f"Unknown builtin op: {told['operator']}.")
    return _Module(told)


def _load_program(path: str) -> Any:
    told = _read(path)
    nodes = []
    for name, dims in told["dims"].items():
        sized = [size if isinstance(size, int) else _Symbol(size) for size in dims]
        kind = {"f": np.float32, "i": np.int64}[told["kinds"][0]]
        value = Tensor(np.zeros(0, dtype=kind), sized)
        nodes.append(types.SimpleNamespace(name=name, meta={"val": value}))
    names = [name for name in told["dims"] if not name.startswith("result")]
    results = [name for name in told["dims"] if name.startswith("result")]
    return types.SimpleNamespace(
        module=lambda: _Module(told),
        graph=types.SimpleNamespace(nodes=nodes),
        graph_signature=types.SimpleNamespace(user_inputs=names, user_outputs=results),
        call_spec=types.SimpleNamespace(in_spec="in", out_spec="out"),
    )


class _Symbol:
    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


jit = types.SimpleNamespace(load=_load_script)
export = types.SimpleNamespace(load=_load_program)
