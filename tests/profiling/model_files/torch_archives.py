"""Archives laid out as PyTorch lays its own out; the stand-in of torch runs them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

STAND_IN = Path(__file__).parent / "standin"


def write_script(path: Path, inputs: dict[str, str], kinds: str, **more: Any) -> Path:
    """Write a TorchScript file of inputs by type, whose numbers are of these kinds."""
    told = {"inputs": inputs, "kinds": kinds, **more}
    return _write(
        path,
        f"{path.stem}/data.pkl",
        f"{path.stem}/constants.pkl",
        f"{path.stem}/code/__torch__.py",
        **{f"{path.stem}/network.json": told},
    )


def write_program(path: Path, dims: dict[str, list[Any]], kinds: str) -> Path:
    """Write a program of ``torch.export`` of inputs and results by their axes."""
    told = {"inputs": {}, "kinds": kinds, "dims": dims}
    return _write(
        path,
        f"{path.stem}/archive_format",
        f"{path.stem}/models/model.json",
        **{f"{path.stem}/network.json": told},
    )


def write_checkpoint(folder: Path, **config: Any) -> Path:
    """Write the folder of a checkpoint, without any number in its weights."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    own = {"architectures": ["StandInForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(own | config))
    return folder


def write_archive(path: Path, *names: str) -> Path:
    """Write an archive with empty files of these names."""
    return _write(path, *names)


def _write(path: Path, *names: str, **contents: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
        for name, told in contents.items():
            archive.writestr(name, json.dumps(told))
    return path
