"""What a path is, and what to do with one that is no model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpupack.errors import InvalidInputError
from gpupack.profiling.model_files.file_kinds import (
    FileKind,
    names_of_paths,
    recognize,
)
from tests.profiling.model_files.onnx_networks import write_classifier
from tests.profiling.model_files.torch_archives import (
    write_archive,
    write_checkpoint,
    write_program,
    write_script,
)

if TYPE_CHECKING:
    from pathlib import Path


def kind_of(path: Path) -> FileKind:
    return recognize(path, "name").kind


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    onnx = write_classifier(tmp_path / "a.onnx")
    script = write_script(tmp_path / "script.pt", {"x": "Tensor"}, "f")
    program = write_program(tmp_path / "program.pt2", {}, "f")

    assert kind_of(onnx) is FileKind.ONNX
    assert kind_of(onnx.rename(tmp_path / "unnamed")) is FileKind.ONNX
    assert kind_of(script) is FileKind.TORCHSCRIPT
    assert kind_of(script.rename(tmp_path / "misnamed.onnx")) is FileKind.TORCHSCRIPT
    assert kind_of(program) is FileKind.EXPORT
    older = write_archive(tmp_path / "o.pt2", "serialized_exported_program.json")
    assert kind_of(older) is FileKind.EXPORT
    assert kind_of(write_checkpoint(tmp_path / "encoder")) is FileKind.CHECKPOINT
    write_classifier(tmp_path / "exported" / "model.onnx")
    assert kind_of(tmp_path / "exported") is FileKind.ONNX


@pytest.mark.parametrize(
    ("name", "head", "kind", "way_out"),
    [
        ("a.onnx", b"", "is empty", "again"),
        ("a.onnx", b"version https://git-lfs.github.com/spec", "Git LFS", "lfs pull"),
        ("a.onnx", b"<!DOCTYPE html>", "web page", "download the file"),
        ("a.pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "pickled", "torch.export.save"),
        ("a.pt2", b"garbage", "damaged", "save or copy it again"),
        ("a.pt", b"PK\x03\x04broken", "damaged archive", "copy it again"),
        ("a.safetensors", b'\x40\0\0\0\0\0\0\0{"w"', "weights", "Hugging Face"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "Keras", "ONNX"),
        ("a.tflite", b"\x1c\0\0\0TFL3", "TensorFlow Lite", "ONNX"),
        ("a.plan", b"anything", "TensorRT engine", "--url"),
        ("a.xml", b"<?xml version", "OpenVINO", "--url"),
        ("a.pb", b"\x0a\x12", "TensorFlow graph", "tf2onnx"),
        ("a.gguf", b"GGUF\3\0", "llama.cpp", "ONNX"),
        ("a.pkl", b"\x80\x04\x95", "pickled Python object", "skl2onnx"),
        ("a.txt", b"hello", "no model file that gpupack knows", "ONNX"),
    ],
)
def test_other_files_are_named_with_the_way_out(
    tmp_path: Path, name: str, head: bytes, kind: str, way_out: str
) -> None:
    path = tmp_path / name
    path.write_bytes(head)

    with pytest.raises(InvalidInputError) as caught:
        recognize(path, "a")

    assert kind in str(caught.value)
    assert way_out in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["net/data.pkl", "net/version"], "checkpoint of torch.save()"),
        (["MAR-INF/MANIFEST.json", "net.pt"], "TorchServe"),
        (["x.npy"], "archive of arrays"),
        (["config.json", "model.weights.h5"], "Keras"),
        (["data/aotinductor/model/a.so"], "AOTInductor"),
        (["readme.txt"], "without a model"),
    ],
)
def test_archives_without_a_program_are_named(
    tmp_path: Path, names: list[str], told: str
) -> None:
    path = write_archive(tmp_path / "a.pt", *names)

    with pytest.raises(InvalidInputError, match=r".") as caught:
        recognize(path, "a")

    assert told in str(caught.value)


def test_folders_that_are_no_checkpoint_are_named(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "bert").mkdir(parents=True)
    (repository / "bert" / "config.pbtxt").write_text("")
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").write_text("")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text("{}")
    several = tmp_path / "several"
    write_classifier(several / "a.onnx")
    write_classifier(several / "b.onnx")

    for folder, told in (
        (repository, f"--model-repository {repository}"),
        (repository / "bert", f"--model-repository {repository}"),
        (saved, "tf2onnx"),
        (adapter, "merge"),
        (bare, "no weights"),
        (several, "a.onnx, b.onnx"),
        (tmp_path / "nowhere", "there is no model file"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            recognize(folder, "a")
        assert told in str(caught.value)


def test_code_of_a_checkpoint_is_run_on_request_only(tmp_path: Path) -> None:
    own = {"AutoModel": "modeling_own.OwnModel"}
    folder = write_checkpoint(tmp_path / "own", auto_map=own)

    with pytest.raises(
        InvalidInputError, match="modeling_own.OwnModel.*--trust-remote"
    ):
        recognize(folder, "own")
    assert recognize(folder, "own", trust_remote_code=True).kind is FileKind.CHECKPOINT

    (folder / "config.json").write_text("{")
    with pytest.raises(InvalidInputError, match="fetch the checkpoint again"):
        recognize(folder, "own", trust_remote_code=True)


def test_every_file_has_a_name_of_its_own_that_triton_takes(tmp_path: Path) -> None:
    paths = [
        tmp_path / name
        for name in (
            "resnet 50.onnx",
            "detector.onnx",
            "detector.pt2",
            "a/model.onnx",
            "b/model.onnx",
            "b/model.onnx",
        )
    ]

    names = names_of_paths(paths)

    assert names[:3] == ["resnet_50", "detector.onnx", "detector.pt2"]
    assert names[3] == "a_model.onnx"
    assert len(set(names)) == len(names)
