"""Where requests' data come from, and whether a record's came from there too."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, StoreError
from gpupack.files import AnyPath, as_path, cannot_read, require_file
from gpupack.given_numbers import whole_number
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from gpupack.profiling.server import ModelSignature
    from gpupack.records.profile import ProfileRecord

DEFAULT_SEQUENCE_LENGTH = 20
"""Requests of a sequence; perf_analyzer's, too."""
MAX_DATA_BYTES = 8 * 1024**3
"""A file of input data holds no more: four requests of the largest size."""


@dataclass(frozen=True)
class InputOptions:
    """Where requests' data come from.

    Attributes:
        shapes: Sizes of dynamic inputs, by input name; ``model/input`` for one model.
        data: A file or folder of inputs (see ``data_files``) for a model, by model
            name; ``""`` for all.
        seed: For random data.
        batch_dims: For models that do not declare their batch (``max_batch_size: 0``):
            which dimension of their tensors it is, None for none, by model name;
            ``""`` for all such models. One that looks like it is found by itself.
        fills_optional: Also fill optional inputs for which nothing is given here.
        sequence_length: Requests of each sequence, for stateful models.
    """

    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    data: Mapping[str, AnyPath] = field(default_factory=dict)
    seed: int = 0
    batch_dims: Mapping[str, int | None] = field(default_factory=dict)
    fills_optional: bool = False
    sequence_length: int = DEFAULT_SEQUENCE_LENGTH

    def __post_init__(self) -> None:
        if (whole_number(self.sequence_length) or 0) < 1:
            raise InvalidInputError(
                "a sequence has a whole number of requests from 1, got "
                f"{quoted(self.sequence_length)}"
            )

    def with_batch_dim(self, signature: ModelSignature) -> ModelSignature:
        """Return a model's signature with its batch dimension, said or found.

        Raises:
            InvalidInputError: The one that was said for this model cannot be.
        """
        if signature.name in self.batch_dims:
            return signature.with_batch_dim(self.batch_dims[signature.name])
        if signature.max_batch_size > 0:
            return signature
        if "" in self.batch_dims:
            return signature.with_batch_dim(self.batch_dims[""])
        found = signature.find_batch_dim()
        if found is None:
            return signature
        return replace(signature.with_batch_dim(found), is_batch_dim_found=True)

    def given_batch_size(self, signature: ModelSignature) -> int | None:
        """Return the batch size that a shape, given with its batch, or the model fixes.

        None for a model that declares its batch, and where nothing fixes it.
        """
        if signature.fixed_batch_size is not None:
            return signature.fixed_batch_size
        shapes = self.shapes_of(signature)
        for spec in signature.inputs:
            shape, axis = shapes.get(spec.name), signature.batch_axis(spec)
            if signature.batch_dim is None or axis is None or shape is None:
                continue
            if len(shape) == len(spec.dims):
                return int(shape[axis])
        return None

    def shapes_of(self, signature: ModelSignature) -> dict[str, Sequence[int]]:
        """Return the shapes that concern one model."""
        names = {spec.name for spec in signature.inputs}
        chosen: dict[str, Sequence[int]] = {}
        for key, shape in self.shapes.items():
            model_name, slash, input_name = key.rpartition("/")
            if (slash and model_name == signature.name) or (
                not slash and input_name in names
            ):
                chosen[input_name] = shape
        return chosen

    def with_shapes_of(self, records: Iterable[ProfileRecord]) -> InputOptions:
        """Return these options, with the shapes that records were measured with.

        They hold for inputs of which nothing is said here.
        """
        measured = {
            f"{record.model_name}/{input_name}": shape
            for record in records
            if self.data_of(record.model_name) is None
            for input_name, shape in record.environment.input_shapes.items()
            if input_name not in self.shapes
        }
        return replace(self, shapes={**measured, **self.shapes})

    def data_of(self, model_name: str) -> Path | None:
        """Return the data file that concerns one model."""
        path = self.data.get(model_name) or self.data.get("")
        return as_path(path) if path else None

    def data_sha256_of(self, model_name: str) -> str | None:
        """Return the hash of a model's data file, None where inputs are random.

        Raises:
            InvalidInputError: It cannot be read.
        """
        path = self.data_of(model_name)
        if path is None:
            return None
        try:
            if path.is_dir():
                return _folder_sha256(path)
            with require_file(path, max_bytes=MAX_DATA_BYTES).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except StoreError as err:
            raise InvalidInputError(f"input data: {err}") from err
        except OSError as err:
            raise InvalidInputError(f"input data: {cannot_read(path, err)}") from err

    def difference_from(self, record: ProfileRecord) -> str:
        """Say how the inputs of a record differ from these, '' if they do not.

        A record that does not say what its inputs were differs in nothing.
        """
        known, name = record.environment, record.model_name
        if not known.measure_options:
            return ""
        if record.sequence_length not in (None, self.sequence_length):
            return (
                f"sequences of {record.sequence_length} requests, not "
                f"{self.sequence_length}"
            )
        data_sha256 = self.data_sha256_of(name)
        if data_sha256 != known.input_data_sha256:
            if known.input_data_sha256 is None:
                return f"random inputs, not those of {quoted(str(self.data_of(name)))}"
            return "inputs of a file" + (
                ", not random ones"
                if data_sha256 is None
                else f" that differs from {quoted(str(self.data_of(name)))}"
            )
        if data_sha256 is not None:
            return ""
        if known.seed is not None and known.seed != self.seed:
            return f"random inputs of seed {known.seed}, not {self.seed}"
        for input_name, shape in known.input_shapes.items():
            asked = self.shapes.get(f"{name}/{input_name}", self.shapes.get(input_name))
            if asked is not None and not _is_shape_of(asked, shape, record.batch_dim):
                return f"input {input_name} of shape {_text(shape)}, not {_text(asked)}"
        return ""


def data_files_in(folder: Path) -> list[Path]:
    """Return the files of a folder of input data, sorted by name, hidden ones not."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".")
    )


def _folder_sha256(folder: Path) -> str:
    total = hashlib.sha256()
    for path in data_files_in(folder):
        with require_file(path, max_bytes=MAX_DATA_BYTES).open("rb") as file:
            total.update(path.name.encode() + b"\0")
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _is_shape_of(
    asked: Sequence[int], measured: Sequence[int], batch_dim: int | None
) -> bool:
    """Whether a shape that was asked for, perhaps with its batch, was measured."""
    dims = tuple(asked)
    if batch_dim is not None and len(dims) == len(measured) + 1:
        dims = dims[:batch_dim] + dims[batch_dim + 1 :]
    return dims == tuple(measured)


def _text(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))
