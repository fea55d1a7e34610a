"""What kind of model a path is, told by its content; nothing of it is run."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.files import AnyPath, as_path
from gpupack.profiling.embedded import ModelRuntime
from gpupack.profiling.model_files.foreign_files import (
    foreign_archive,
    foreign_by_head,
    foreign_by_suffix,
)
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HEAD_BYTES = 64
_ZIP = b"PK\x03\x04"
_ONNX_VERSION = b"\x08"
"""Field 1 of a model is its version of the format, a small number."""
_KNOWN = (
    "gpupack takes ONNX (.onnx), TorchScript, programs of torch.export (.pt2), and the "
    "folder of a Hugging Face checkpoint"
)
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


class FileKind(StrEnum):
    """What a model file is."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    EXPORT = "export"
    """A program of ``torch.export.save``."""
    CHECKPOINT = "checkpoint"
    """A folder as ``save_pretrained`` of Hugging Face writes it."""

    @property
    def runtime(self) -> ModelRuntime:
        """What runs it."""
        return ModelRuntime.ONNX if self is FileKind.ONNX else ModelRuntime.TORCH


@dataclass(frozen=True)
class ModelFile:
    """One model as a file or folder, with the name that it is measured under."""

    path: Path
    name: str
    kind: FileKind


def recognize(
    path: AnyPath, name: str, *, trust_remote_code: bool = False
) -> ModelFile:
    """Return what a path is.

    Raises:
        InvalidInputError: There is none, or it is no model that gpupack can serve;
            says what it is and what to do with it.
    """
    found = as_path(path)
    try:
        if found.is_dir():
            return _recognize_folder(found, name, trust_remote_code=trust_remote_code)
        if not found.exists():
            raise InvalidInputError(
                f"there is no model file {quoted(str(path))}; for a model of a "
                "repository, say where that is: --model-repository or --url"
            )
        if not found.is_file():
            raise InvalidInputError(f"{quoted(str(path))} is no file; {_KNOWN}")
        with found.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        kind = _kind_of(found, head)
    except OSError as err:
        raise InvalidInputError(
            f"cannot read the model file {quoted(str(path))}: {err.strerror or err}"
        ) from err
    return ModelFile(found.resolve(), name, kind)


def names_of_paths(paths: Iterable[Path]) -> list[str]:
    """Return a name for each path that Triton takes, no two alike.

    It is the file's name without its suffix; with it, then with the folder's name in
    front, where two would be alike.
    """
    given = [path.absolute() for path in paths]
    candidates = [
        (
            path.name if path.is_dir() else path.stem,
            path.name,
            f"{path.parent.name}_{path.name}",
        )
        for path in given
    ]
    names = [""] * len(given)
    for level in range(3):
        wanted = [_plain_name(one[level]) for one in candidates]
        for at, name in enumerate(wanted):
            if not names[at] and wanted.count(name) == 1 and name not in names:
                names[at] = name
    for at, one in enumerate(candidates):
        number = 2
        while not names[at]:
            name = f"{_plain_name(one[0])}_{number}"
            names[at] = "" if name in names else name
            number += 1
    return names


def _plain_name(text: str) -> str:
    """Return a name of characters that Triton finds by HTTP."""
    return re.sub(r"[^A-Za-z0-9_.~-]", "_", text).strip(".") or "model"


def _kind_of(path: Path, head: bytes) -> FileKind:
    where = quoted(str(path))
    if not head:
        raise InvalidInputError(f"{where} is empty; copy or export the model again")
    if head.startswith(_ZIP):
        return _kind_of_archive(path)
    foreign = foreign_by_head(head)
    if foreign is None and path.suffix.lower() == ".onnx":
        return FileKind.ONNX
    foreign = foreign or foreign_by_suffix(path)
    if foreign is not None:
        kind, way_out = foreign
        raise InvalidInputError(f"{where} is {kind}: {way_out}")
    if path.suffix.lower() in (".pt", ".pt2", ".pth", ".ts"):
        raise InvalidInputError(
            f"{where} is no archive of PyTorch, or a damaged one: save or copy it again"
        )
    if head.startswith(_ONNX_VERSION):
        return FileKind.ONNX
    raise InvalidInputError(f"{where} is no model file that gpupack knows: {_KNOWN}")


def _kind_of_archive(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as err:
        raise InvalidInputError(
            f"{quoted(str(path))} is a damaged archive ({err}): save or copy it again"
        ) from err
    ends = {name.partition("/")[2] or name for name in names}
    if "serialized_exported_program.json" in names | ends or any(
        re.fullmatch(r"models/[^/]+\.json", end) for end in ends | names
    ):
        return FileKind.EXPORT
    if "constants.pkl" in ends and any(end.startswith("code/") for end in ends):
        return FileKind.TORCHSCRIPT
    kind, way_out = foreign_archive(names)
    raise InvalidInputError(f"{quoted(str(path))} is {kind}: {way_out}")


def _recognize_folder(folder: Path, name: str, *, trust_remote_code: bool) -> ModelFile:
    where = quoted(str(folder))
    if (folder / "config.pbtxt").is_file() or any(folder.glob("*/config.pbtxt")):
        inside = folder.parent if (folder / "config.pbtxt").is_file() else folder
        raise InvalidInputError(
            f"{where} is of a model repository: give it with --model-repository "
            f"{inside}"
        )
    if (folder / "saved_model.pb").is_file():
        raise InvalidInputError(
            f"{where} is a SavedModel of TensorFlow: export it to ONNX (tf2onnx)"
        )
    if (folder / "config.json").is_file() and any(
        any(folder.glob(pattern)) for pattern in _WEIGHTS
    ):
        _check_own_code(folder, trust_remote_code=trust_remote_code)
        return ModelFile(folder.resolve(), name, FileKind.CHECKPOINT)
    exported = sorted((*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")))
    if len(exported) == 1:
        return replace(recognize(exported[0], name), name=name)
    if exported:
        listed = ", ".join(str(one.relative_to(folder)) for one in exported)
        raise InvalidInputError(
            f"{where} holds several ONNX files ({listed}): give those to measure"
        )
    if (folder / "adapter_config.json").is_file():
        raise InvalidInputError(
            f"{where} is an adapter, which changes another model: merge the two, and "
            "give the folder of the result"
        )
    if (folder / "config.json").is_file():
        raise InvalidInputError(
            f"{where} has a config.json but no weights (model.safetensors): fetch the "
            "whole checkpoint"
        )
    raise InvalidInputError(f"{where} is no checkpoint with a config.json; {_KNOWN}")


def _check_own_code(folder: Path, *, trust_remote_code: bool) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        own_code = config.get("auto_map")
    except (ValueError, AttributeError) as err:
        raise InvalidInputError(
            f"{quoted(str(folder / 'config.json'))} cannot be read: {err}; fetch the "
            "checkpoint again"
        ) from err
    if own_code and not trust_remote_code:
        named = ", ".join(sorted({str(one) for one in own_code.values()}))
        raise InvalidInputError(
            f"{quoted(str(folder))} needs code of its own ({named}), which gpupack "
            "does not run by itself: read it, then say --trust-remote-code"
        )
