"""What a model file takes and gives, told by the runtime that will run it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpupack.errors import InvalidInputError
from gpupack.profiling.embedded import ModelRuntime
from gpupack.profiling.model_files.file_kinds import FileKind
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpupack.profiling.model_files.file_kinds import ModelFile

SERVED_FOLDER = Path(__file__).with_name("served")
NETWORK_MODULES = {
    ModelRuntime.ONNX: "onnx_network",
    ModelRuntime.TORCH: "torch_network",
}
_TIMEOUT_S = 600.0
_TAIL_LETTERS = 800


@dataclass(frozen=True)
class FileTensor:
    """One input or output of a model file; sizes with the batch, -1 where dynamic."""

    name: str
    datatype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class FileDescription:
    """A model file that was loaded and, where that was needed, tried.

    Attributes:
        inputs: In the order of the file.
        is_batched: Whether the first axis of all inputs and outputs is the batch.
        precision: What most of its weights are.
        runtime: Versions of what runs it, by package.
        files: What belongs to it, beside the file itself, relative to its folder.
        shapes: Sizes of dynamic inputs without the batch, those too that follow from
            the ones that were given: axes of one name have one size.
    """

    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    is_batched: bool
    precision: str
    runtime: Mapping[str, str]
    files: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]


def describe_file(
    file: ModelFile,
    *,
    python: Path,
    provider: str,
    shapes: Mapping[str, Sequence[int]],
    trust_remote_code: bool = False,
) -> FileDescription:
    """Load a model file in the models' Python and return what it takes and gives.

    Args:
        file: The file.
        python: The Python that it will be served in.
        provider: The execution provider to load it with.
        shapes: Sizes of dynamic inputs, by input name.
        trust_remote_code: Run code that a checkpoint brings.

    Raises:
        InvalidInputError: It cannot be served; says why, and the way out.
    """
    request = {
        "path": str(file.path),
        "kind": file.kind.value,
        "provider": provider,
        "shapes": {name: list(shape) for name, shape in shapes.items()},
        "trust_remote_code": trust_remote_code,
    }
    where = quoted(str(file.path))
    command = [
        *(str(python), "-I", str(SERVED_FOLDER / "describe.py")),
        *(NETWORK_MODULES[file.kind.runtime], json.dumps(request)),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as err:
        raise InvalidInputError(
            f"{where} was not loaded within {_TIMEOUT_S:g} s; put it into a repository "
            "and profile that with --model-repository and --load-timeout"
        ) from err
    lines = done.stdout.strip().splitlines()
    try:
        answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    except ValueError:
        answer = {}
    if "lacks" in answer:
        raise InvalidInputError(
            f"{python} has no {answer['lacks']}, which {where} needs: install it there "
            f"(pip install {_package(answer['lacks'])}), or leave --server-python out "
            "and gpupack makes an environment that has it"
        )
    if "error" in answer:
        raise InvalidInputError(f"{where}: {answer['error']}")
    if "inputs" not in answer:
        told = done.stderr.strip()[-_TAIL_LETTERS:] or "it said nothing"
        raise InvalidInputError(
            f"{where} ended the Python that read it (exit code {done.returncode}): "
            f"{told}"
        )
    return _parsed(file, answer)


def _package(module: str) -> str:
    return "onnxruntime onnx" if module.startswith("onnx") else module


def _parsed(file: ModelFile, answer: Mapping[str, Any]) -> FileDescription:
    inputs = [one | {"dims": _rank(one, answer)} for one in answer["inputs"]]
    dims = {one["name"]: one["dims"] for one in inputs}
    return FileDescription(
        inputs=tuple(map(_tensor, inputs)),
        outputs=tuple(map(_tensor, answer["outputs"])),
        is_batched=bool(answer["batched"]),
        precision=str(answer["precision"]),
        runtime=answer["runtime"],
        files=() if file.kind is FileKind.CHECKPOINT else tuple(answer["files"]),
        shapes={
            name: _shape(shape, dims[name], is_batched=bool(answer["batched"]))
            for name, shape in answer["shapes"].items()
            if name in dims
        },
    )


def _shape(
    shape: Sequence[int], dims: Sequence[Any], *, is_batched: bool
) -> tuple[int, ...]:
    """Return a given shape as the model's configuration counts its axes.

    Without the batch where that declares one; whole where it does not.
    """
    if is_batched:
        return tuple(shape[1:] if len(shape) == len(dims) else shape)
    if len(shape) == len(dims) - 1:
        first = dims[0] if isinstance(dims[0], int) and dims[0] > 0 else 1
        return (first, *shape)
    return tuple(shape)


def _rank(tensor: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Any]:
    """Return sizes with the batch, dynamic where the file does not say even how many.

    What was given is without the batch then.
    """
    if tensor["dims"] is not None:
        return list(tensor["dims"])
    return [None] * (1 + len(answer["shapes"][tensor["name"]]))


def _tensor(told: Mapping[str, Any]) -> FileTensor:
    return FileTensor(
        name=str(told["name"]),
        datatype=str(told["datatype"]),
        dims=tuple(
            size if isinstance(size, int) and size >= 0 else -1 for size in told["dims"]
        ),
    )
