"""Input data for a model: random by default, real from a ``.npz`` on request."""

from __future__ import annotations

import math
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gpupack.errors import InvalidInputError
from gpupack.profiling.load.data_files import read_data_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from gpupack.files import AnyPath
    from gpupack.profiling.load.input_options import InputOptions
    from gpupack.profiling.server import ModelSignature, TensorSpec

    Tensors = dict[str, npt.NDArray[np.generic]]
    """One request's inputs, by name."""

_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
_INTEGER_LIMIT = 100
"""Random integers stay below this: they often index a table, such as a vocabulary."""
_KNOWN_INPUTS = {
    "attention_mask": 1,
    "decoder_attention_mask": 1,
    "input_mask": 1,
    "segment_ids": 0,
    "token_type_ids": 0,
}
"""Whole numbers of text models, by their usual names: masks that hide nothing, and one
kind of token, of which there are seldom more than two."""
_STRING_LENGTH = 16
_RANDOM_STRING = re.compile(rb"[a-z]{%d}" % _STRING_LENGTH)
_NUM_VALUES = 256
"""So many values an element takes where requests must differ."""
_MAX_REQUEST_BYTES = 2**31
"""What a message of gRPC can hold; more would fill this host's memory, too."""


def numpy_type(datatype: str) -> np.dtype[np.generic] | None:
    """Return the numpy type that carries a Triton type, None if there is none.

    BF16 is no type of numpy's own: it needs the package ``ml_dtypes``.
    """
    if datatype in _INTEGERS:
        return np.dtype(datatype.lower())
    if datatype in _FLOATS:
        return np.dtype(_FLOATS[datatype])
    others = {"BOOL": np.dtype(np.bool_), "BYTES": np.dtype(np.object_)}
    if datatype == "BF16":
        with suppress(ImportError):
            found: np.dtype[np.generic] = np.dtype(import_module("ml_dtypes").bfloat16)
            return found
    return others.get(datatype)


def make_request_inputs(
    given: InputOptions, signature: ModelSignature, batch_size: int
) -> Tensors:
    """Return one request's inputs for a model, as the options say; see ``make_inputs``.

    Raises:
        InvalidInputError: As ``make_inputs``.
    """
    return make_inputs(
        signature,
        batch_size,
        shapes=given.shapes_of(signature),
        data_path=given.data_of(signature.name),
        seed=given.seed,
        fills_optional=given.fills_optional,
    )


def make_inputs(
    signature: ModelSignature,
    batch_size: int,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    data_path: AnyPath | None = None,
    seed: int = 0,
    fills_optional: bool = False,
) -> Tensors:
    """Return one request's inputs, by name, each with its batch if it has one.

    Args:
        signature: The model's own description of its inputs.
        batch_size: Inputs per request.
        shapes: Sizes for inputs with dynamic dimensions, by input name, without the
            batch dimension; where the model does not declare it, also with it.
        data_path: A file that ``read_data_file`` reads, one array per input: either
            one input's shape, which is repeated, or a stack, whose first are taken.
        seed: For the random data: floats in [0, 1), integers in [0, 100), strings of
            16 letters. Masks and kinds of tokens of text models, known by their names,
            are ones and zeros.
        fills_optional: Also fill optional inputs for which nothing was given, if the
            data are random; by default they are left out.

    Raises:
        InvalidInputError: A dynamic dimension nobody gave, a shape or array that does
            not fit, a datatype gpupack cannot make, a batch the model cannot take, or
            a request of more than 2 GiB.
    """
    signature.check_drivable(batch_size)
    if seed < 0:
        raise InvalidInputError(f"a seed is at least 0, got {seed}")
    given = shapes or {}
    unknown = sorted(set(given) - {spec.name for spec in signature.inputs})
    if unknown:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise InvalidInputError(
            f"model {signature.name} has no input {', '.join(unknown)}, for which a "
            f"shape was given; its inputs are {names}"
        )
    dtypes = {
        spec.name: numpy_type(spec.datatype) or np.dtype(np.object_)
        for spec in signature.inputs
    }
    arrays = read_data_file(data_path, signature, dtypes) if data_path else {}
    rng = np.random.default_rng(seed)
    fills = fills_optional and data_path is None
    tensors: Tensors = {}
    num_bytes = 0
    for spec in signature.inputs:
        is_given = spec.name in arrays or spec.name in given
        if spec.is_optional and not is_given and not fills:
            continue
        dtype = numpy_type(spec.datatype)
        if dtype is None:
            way_out = (
                ": pip install ml_dtypes"
                if spec.datatype == "BF16"
                else "; leave the model out with --models"
            )
            raise InvalidInputError(
                f"model {signature.name}, input {spec.name}: gpupack cannot make data "
                f"of type {spec.datatype}{way_out}"
            )
        if data_path is not None:
            array = _from_file(signature, spec, arrays, data_path, batch_size, dtype)
        else:
            item_dims = _resolve_dims(signature, spec, given)
            dims = signature.with_batch(spec, item_dims, batch_size)
            item = _STRING_LENGTH if spec.datatype == "BYTES" else dtype.itemsize
            num_bytes += prod(dims) * item
            _check_size(signature, batch_size, num_bytes)
            known = _KNOWN_INPUTS.get(spec.name.lower())
            if known is not None and spec.datatype in _INTEGERS:
                array = np.full(dims, known, dtype=dtype)
            else:
                array = _random(rng, dims, spec.datatype, dtype)
        tensors[spec.name] = array
    return tensors


@dataclass
class Variation:
    """Gives a request another end each time: the last elements of its last tensor.

    Attributes:
        alphabet: The values that an element takes, as bytes of one length.
        num_elements: How many elements are varied.
    """

    alphabet: tuple[bytes, ...]
    num_elements: int
    _count: int = field(default_factory=time.time_ns)
    """Begins elsewhere in each measurement, whose answers may be remembered, too."""

    @classmethod
    def of(cls, alphabet: tuple[bytes, ...], num_elements: int) -> Variation:
        """Return a variation of no more elements than 2⁴⁰ different ends need."""
        enough = math.ceil(40 / math.log2(len(alphabet)))
        return cls(alphabet, min(num_elements, enough))

    @property
    def num_different(self) -> int:
        """How many requests differ, before they begin anew."""
        return int(len(self.alphabet) ** self.num_elements)

    def vary(self, request: bytes) -> bytes:
        """Return the request with the next end."""
        self._count += 1
        rest, parts = self._count, []
        for _ in range(self.num_elements):
            rest, digit = divmod(rest, len(self.alphabet))
            parts.append(self.alphabet[digit])
        end = b"".join(parts)
        return request[: -len(end)] + end


def find_variation(inputs: Tensors) -> tuple[str | None, Variation | None]:
    """Return how to make requests differ, and in which input; None where none can.

    Numbers vary within the range that the input has, and strings only if they are
    random ones: others, such as JSON, may not bear it.
    """
    found: list[tuple[int, str, Variation]] = []
    for name, array in inputs.items():
        alphabet, num_elements = _alphabet(array)
        if len(alphabet) > 1:
            variation = Variation.of(alphabet, num_elements)
            found.append((variation.num_different, name, variation))
    if not found:
        return None, None
    _, name, variation = max(found, key=lambda one: one[0])
    return name, variation


def _alphabet(array: npt.NDArray[np.generic]) -> tuple[tuple[bytes, ...], int]:
    """Return values for the last elements of an array, and how many it has."""
    if array.size == 0:
        return (), 0
    if array.dtype == object:
        text = array.reshape(-1)[-1]
        if not isinstance(text, bytes) or not _RANDOM_STRING.fullmatch(text):
            return (), 0
        return tuple(bytes([code]) for code in range(97, 123)), len(text)
    if array.dtype == np.bool_:
        values = np.array([False, True])
    else:
        numbers = array.astype(np.float64)
        values = np.linspace(numbers.min(), numbers.max(), _NUM_VALUES)
        values = values.astype(array.dtype)
    return tuple(dict.fromkeys(value.tobytes() for value in values)), array.size


def _check_size(signature: ModelSignature, batch_size: int, num_bytes: int) -> None:
    if num_bytes > _MAX_REQUEST_BYTES:
        raise InvalidInputError(
            f"model {signature.name}: a request with batch size {batch_size} has "
            f"{num_bytes / 2**20:,.0f} MiB of inputs, and gpupack sends at most "
            f"{_MAX_REQUEST_BYTES // 2**20:,} MiB: lower --batch or --shape"
        )


def without_batch(
    signature: ModelSignature, spec: TensorSpec, shape: Sequence[int]
) -> tuple[int, ...]:
    """Return a given shape, without the batch if a ``batch_dim`` is among its sizes."""
    dims, axis = tuple(int(size) for size in shape), signature.batch_axis(spec)
    if signature.batch_dim is None or axis is None or len(dims) != len(spec.dims):
        return dims
    return dims[:axis] + dims[axis + 1 :]


def _resolve_dims(
    signature: ModelSignature, spec: TensorSpec, shapes: Mapping[str, Sequence[int]]
) -> tuple[int, ...]:
    where = f"model {signature.name}, input {spec.name}"
    own_dims = signature.item_dims(spec)
    example = ",".join("64" if size < 0 else str(size) for size in own_dims)
    if spec.name not in shapes:
        if any(size < 0 for size in own_dims):
            raise InvalidInputError(
                f"{where}: shape {list(own_dims)} has dynamic dimensions (-1) and "
                f"nobody gave their sizes; give them, such as --shape {spec.name}:"
                f"{example}, or real data as .npz"
            )
        return own_dims
    dims = without_batch(signature, spec, shapes[spec.name])
    fits = len(dims) == len(own_dims) and all(
        size > 0 and (own < 0 or own == size)
        for size, own in zip(dims, own_dims, strict=True)
    )
    if not fits:
        raise InvalidInputError(
            f"{where}: the given shape {list(dims)} does not fit the model's "
            f"{list(own_dims)} (-1 takes any size above 0; no batch dimension)"
        )
    return dims


def _random(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    datatype: str,
    dtype: np.dtype[np.generic],
) -> npt.NDArray[np.generic]:
    if datatype == "BYTES":
        letters = rng.integers(97, 123, (*shape, _STRING_LENGTH), dtype=np.uint8)
        flat = letters.reshape(-1, _STRING_LENGTH)
        strings = np.empty(len(flat), dtype=np.object_)
        strings[:] = [row.tobytes() for row in flat]
        return strings.reshape(shape)
    if datatype == "BOOL":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if datatype in _INTEGERS:
        return rng.integers(0, _INTEGER_LIMIT, shape).astype(dtype)
    return rng.random(shape, dtype=np.float32).astype(dtype)


def _from_file(
    signature: ModelSignature,
    spec: TensorSpec,
    arrays: Tensors,
    path: AnyPath,
    batch_size: int,
    dtype: np.dtype[np.generic],
) -> npt.NDArray[np.generic]:
    where = f"model {signature.name}, input {spec.name}"
    if spec.name not in arrays:
        raise InvalidInputError(
            f"{where}: {path} has no array of that name; it holds "
            f"{', '.join(sorted(arrays)) or 'nothing'}"
        )
    array = arrays[spec.name]
    if spec.datatype == "BYTES":
        if array.dtype.kind == "U":
            array = np.char.encode(array.astype(np.str_), "utf-8")
        if array.dtype.kind != "S" and not all(
            isinstance(one, bytes) for one in array.reshape(-1)
        ):
            raise InvalidInputError(
                f"{where}: {path} has {array.dtype}, the model takes strings (BYTES): "
                "save a numpy array of type `S` or `U`"
            )
        array = array.astype(np.object_)
    elif array.dtype != dtype:
        raise InvalidInputError(
            f"{where}: {path} has {array.dtype}, the model takes {spec.datatype} "
            f"({dtype}); convert it when saving"
        )
    item_dims, axis = signature.item_dims(spec), signature.batch_axis(spec)
    if _matches(array.shape, item_dims):
        items = array[np.newaxis]
    elif axis is not None and _matches(array.shape, signature.request_dims(spec, -1)):
        items = np.moveaxis(array, axis, 0)
    elif axis is not None and array.shape and _matches(array.shape[1:], item_dims):
        items = array
    else:
        items = array[:0].reshape(0)
    if items.size == 0:
        raise InvalidInputError(
            f"{where}: {path} has an array of shape {list(array.shape)}, the model "
            f"takes {list(item_dims)}, or a stack of those"
        )
    if axis is None:
        return np.ascontiguousarray(items[0])
    chosen = items[np.arange(batch_size) % len(items)]
    return np.ascontiguousarray(np.moveaxis(chosen, 0, axis))


def _matches(shape: tuple[int, ...], dims: tuple[int, ...]) -> bool:
    return len(shape) == len(dims) and all(
        own < 0 or own == size for size, own in zip(shape, dims, strict=True)
    )
