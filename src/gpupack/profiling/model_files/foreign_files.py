"""Files of other kinds: what they are, and how their models are measured instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_ITS_OWN_BACKEND = (
    "Triton serves it with a backend of its own, which the embedded server does not "
    "have: put it into a repository of a full Triton, and profile that with --url"
)
_NO_PROGRAM = (
    "it holds weights without the network that they belong to: save the network with "
    "torch.export.save() or torch.jit.save(), or give the folder of a Hugging Face "
    "checkpoint"
)
_TO_ONNX = "export it to ONNX"

_BY_SUFFIX = {
    ".bin": ("weights, or half of an OpenVINO model", _NO_PROGRAM),
    ".bst": ("an XGBoost model", _ITS_OWN_BACKEND),
    ".ckpt": ("a training checkpoint", _NO_PROGRAM),
    ".engine": ("a TensorRT engine", _ITS_OWN_BACKEND),
    ".gguf": ("a model of llama.cpp", f"{_TO_ONNX}, or give the original checkpoint"),
    ".h5": ("a Keras model", f"{_TO_ONNX} (tf2onnx)"),
    ".joblib": ("a pickled Python object", f"{_TO_ONNX} (skl2onnx)"),
    ".keras": ("a Keras model", f"{_TO_ONNX} (model.export(…, format='onnx'))"),
    ".mar": ("an archive of TorchServe", "give the TorchScript file that is in it"),
    ".mlmodel": ("a Core ML model", f"{_TO_ONNX} from where it came"),
    ".mlpackage": ("a Core ML model", f"{_TO_ONNX} from where it came"),
    ".nemo": ("an archive of NeMo", f"{_TO_ONNX} (model.export('model.onnx'))"),
    ".npz": ("an archive of arrays", "as inputs of a model, give it to --data"),
    ".pb": ("a TensorFlow graph", f"{_TO_ONNX} (tf2onnx)"),
    ".pbtxt": (
        "a configuration of Triton",
        "give the repository that its model is in with --model-repository",
    ),
    ".pdmodel": ("a Paddle model", f"{_TO_ONNX} (paddle2onnx)"),
    ".pickle": ("a pickled Python object", f"{_TO_ONNX} (skl2onnx)"),
    ".pkl": ("a pickled Python object", f"{_TO_ONNX} (skl2onnx)"),
    ".plan": ("a TensorRT engine", _ITS_OWN_BACKEND),
    ".safetensors": ("a file of weights", _NO_PROGRAM),
    ".tflite": ("a TensorFlow Lite model", f"{_TO_ONNX} (tf2onnx --tflite)"),
    ".trt": ("a TensorRT engine", _ITS_OWN_BACKEND),
    ".ubj": ("an XGBoost model", _ITS_OWN_BACKEND),
    ".xml": ("an OpenVINO model", _ITS_OWN_BACKEND),
}
_BY_HEAD = (
    (
        b"version https://git-lfs",
        "a pointer of Git LFS",
        "fetch it with `git lfs pull`",
    ),
    (b"<!DOCTYPE", "a web page", "download the file itself, not the page about it"),
    (b"<html", "a web page", "download the file itself, not the page about it"),
    (b"\x89HDF\r\n", *_BY_SUFFIX[".h5"]),
    (b"GGUF", *_BY_SUFFIX[".gguf"]),
    (b"ftrt", *_BY_SUFFIX[".plan"]),
    (b"ptrt", *_BY_SUFFIX[".plan"]),
    (b"\x80\x02", "a pickled Python object, as old PyTorch saved weights", _NO_PROGRAM),
    (b"\x80\x03", *_BY_SUFFIX[".pkl"]),
    (b"\x80\x04", *_BY_SUFFIX[".pkl"]),
    (b"\x80\x05", *_BY_SUFFIX[".pkl"]),
)
_TFLITE_AT, _TFLITE = 4, b"TFL3"
SAFETENSORS_AT = 8


def foreign_by_head(head: bytes) -> tuple[str, str] | None:
    """Return what a file is by its first bytes, and the way out; None if unknown."""
    for start, kind, way_out in _BY_HEAD:
        if head.startswith(start):
            return kind, way_out
    if head[_TFLITE_AT : _TFLITE_AT + len(_TFLITE)] == _TFLITE:
        return _BY_SUFFIX[".tflite"]
    if head[SAFETENSORS_AT : SAFETENSORS_AT + 2] == b'{"':
        return _BY_SUFFIX[".safetensors"]
    return None


def foreign_by_suffix(path: Path) -> tuple[str, str] | None:
    """Return what a file is by its name, and the way out; None if unknown."""
    return _BY_SUFFIX.get(path.suffix.lower())


def foreign_archive(names: Collection[str]) -> tuple[str, str]:
    """Return what a zip archive without a program is, by what is in it."""
    if any(name.startswith("MAR-INF/") for name in names):
        return _BY_SUFFIX[".mar"]
    if any("aotinductor" in name for name in names):
        return (
            "a package that AOTInductor compiled",
            "save the program that it was made from with torch.export.save()",
        )
    if any(name.endswith(".weights.h5") for name in names):
        return _BY_SUFFIX[".keras"]
    if any(name.endswith(".npy") for name in names):
        return _BY_SUFFIX[".npz"]
    if any(name.endswith("data.pkl") for name in names):
        return "a checkpoint of torch.save()", _NO_PROGRAM
    return "an archive without a model that gpupack knows", "give the model file itself"
