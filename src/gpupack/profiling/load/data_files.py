"""Real inputs from the files that people have: numpy, perf_analyzer's JSON, JSON lines.

Each becomes one array per input, a stack of the file's items.
"""

from __future__ import annotations

import base64
import binascii
import json
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gpupack.errors import InvalidInputError
from gpupack.files import AnyPath, as_path, require_file
from gpupack.profiling.load.input_options import MAX_DATA_BYTES, data_files_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from gpupack.profiling.server import ModelSignature, TensorSpec

    Arrays = dict[str, npt.NDArray[np.generic]]

_JSON_NAMES = (".json", ".jsonl", ".ndjson")


def read_data_file(
    path: AnyPath,
    signature: ModelSignature,
    dtypes: Mapping[str, np.dtype[np.generic]],
) -> Arrays:
    """Return the arrays of a file of inputs, by input name.

    Args:
        path: A ``.npz`` with one array per input; a ``.json`` as perf_analyzer's
            ``--input-data`` takes it; ``.jsonl``, one JSON object of inputs a line; or
            a folder, whose files are the inputs of a model that takes encoded images.
        signature: The model, whose inputs say what JSON's values are.
        dtypes: Of its inputs, by name.

    Raises:
        InvalidInputError: It cannot be read, or a value fits no input.
    """
    name = as_path(path).name.lower()
    try:
        if as_path(path).is_dir():
            return _folder_items(as_path(path), signature)
        found = require_file(path, max_bytes=MAX_DATA_BYTES)
        if not name.endswith(_JSON_NAMES):
            with np.load(found, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        text = found.read_text(encoding="utf-8")
        items = _perf_items(text) if name.endswith(".json") else _line_items(text)
        return _stacked(items, signature, dtypes)
    except InvalidInputError:
        raise
    except Exception as err:  # a damaged file: from zipfile, zlib, numpy, json
        raise InvalidInputError(
            f"cannot read input data from {path}: {err}; give a .npz with one array "
            "per input, without pickled objects (strings as a `S` or `U` array), "
            "perf_analyzer's --input-data as .json, or .jsonl with one JSON object of "
            "inputs a line"
        ) from err


def _folder_items(folder: Path, signature: ModelSignature) -> Arrays:
    """Return the files of a folder, in order of their names, as they are."""
    wanted = [spec for spec in signature.inputs if not spec.is_optional]
    if len(wanted) != 1 or wanted[0].datatype != "BYTES":
        takes = ", ".join(f"{one.name} {one.datatype}" for one in signature.inputs)
        raise InvalidInputError(
            f"model {signature.name} takes {takes}: the files of a folder are sent as "
            "they are, to a model with one input of BYTES; decode them and save a .npz "
            "with one array per input"
        )
    paths = data_files_in(folder)
    if not paths:
        raise InvalidInputError(f"the folder {folder} of input data has no files")
    contents = np.empty(len(paths), dtype=np.object_)
    contents[:] = [path.read_bytes() for path in paths]
    (spec,) = wanted
    dims = [abs(size) for size in signature.item_dims(spec)]
    if prod(dims) != 1:
        raise InvalidInputError(
            f"model {signature.name}, input {spec.name}: it takes {list(spec.dims)} "
            "strings at once, a file is one; save a .npz with a stack of those"
        )
    return {spec.name: contents.reshape(len(paths), *dims)}


def _perf_items(text: str) -> list[dict[str, Any]]:
    """Return the requests in perf_analyzer's format, one after the other.

    ``{"data": [{input: values}]}``; a sequence's requests stand in a list of their own.
    """
    data = json.loads(text)["data"]
    items: list[dict[str, Any]] = []
    for entry in data:
        items.extend(entry if isinstance(entry, list) else [entry])
    return items


def _line_items(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _stacked(
    items: Sequence[Mapping[str, Any]],
    signature: ModelSignature,
    dtypes: Mapping[str, np.dtype[np.generic]],
) -> Arrays:
    """Return one stack per input that the first item has.

    Items whose shape is not the first one's are left out: a batch has one shape.
    """
    arrays: Arrays = {}
    for spec in signature.inputs:
        if not items or spec.name not in items[0]:
            continue
        found = [_array(spec, item[spec.name], signature, dtypes) for item in items]
        arrays[spec.name] = np.stack(
            [one for one in found if one.shape == found[0].shape]
        )
    return arrays


def _array(
    spec: TensorSpec,
    value: Any,
    signature: ModelSignature,
    dtypes: Mapping[str, np.dtype[np.generic]],
) -> npt.NDArray[np.generic]:
    """Return one value: a number, nested lists, or ``content`` with its ``shape``."""
    shape: Sequence[int] | None = None
    if isinstance(value, dict) and "b64" in value:
        return _from_base64(spec, value, signature, dtypes[spec.name])
    if isinstance(value, dict) and "content" in value:
        value, shape = value["content"], value.get("shape")
    if spec.datatype == "BYTES":
        texts = np.array(value, dtype=np.str_)
        array: npt.NDArray[np.generic] = np.char.encode(texts, "utf-8")
    else:
        array = np.array(value).astype(dtypes[spec.name])
    return _shaped(spec, array, shape, signature)


def _from_base64(
    spec: TensorSpec,
    value: Mapping[str, Any],
    signature: ModelSignature,
    dtype: np.dtype[np.generic],
) -> npt.NDArray[np.generic]:
    try:
        content = base64.b64decode(value["b64"], validate=True)
    except binascii.Error as err:
        raise InvalidInputError(
            f"model {signature.name}, input {spec.name}: `b64` is no base64: {err}"
        ) from err
    if spec.datatype == "BYTES":
        array: npt.NDArray[np.generic] = np.array([content], dtype=np.object_)
    else:
        array = np.frombuffer(content, dtype=dtype)
    return _shaped(spec, array, value.get("shape"), signature)


def _shaped(
    spec: TensorSpec,
    array: npt.NDArray[np.generic],
    shape: Sequence[int] | None,
    signature: ModelSignature,
) -> npt.NDArray[np.generic]:
    """Give flat values the item's shape, where that is known."""
    dims = signature.item_dims(spec)
    if shape is not None:
        return array.reshape(tuple(shape))
    if array.ndim != len(dims) and sum(size < 0 for size in dims) <= 1:
        return array.reshape(dims)
    return array
