"""From model files to a profile, on the real server and the real ONNX Runtime."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gpupack
from gpupack import ModelFileOptions, profile
from gpupack.errors import InvalidInputError, ServerUnavailableError
from gpupack.profiling import (
    InputOptions,
    ModelRuntime,
    ServerOptions,
    find_runtimes,
    install_runtimes,
)
from gpupack.store import read_profile_file
from tests.profiling.model_files.onnx_networks import (
    write_classifier,
    write_detector,
    write_encoder,
    write_foreign_operator,
)
from tests.profiling.model_files.torch_archives import (
    STAND_IN,
    write_checkpoint,
    write_program,
    write_script,
)
from tests.profiling.sweep.test_sweep import QUICK, points

if TYPE_CHECKING:
    from gpupack import ProfileSet

pytestmark = [pytest.mark.triton, pytest.mark.usefixtures("installed", "runtimes")]

PATIENT = dataclasses.replace(QUICK, request_timeout_s=10.0)
ONCE = {"batch_sizes": [1, 4], "concurrency": [1], "options": PATIENT}


@pytest.fixture(scope="session")
def runtimes() -> Path:
    try:
        return install_runtimes([ModelRuntime.ONNX]).python
    except ServerUnavailableError as err:
        pytest.skip(f"no ONNX Runtime here: {err}")


@pytest.fixture(scope="session")
def torch_python(runtimes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python that has the stand-in of torch, and NumPy."""
    folder = tmp_path_factory.mktemp("python") / "env"
    subprocess.run([runtimes, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (there,) = runtimes.parent.parent.glob("lib/python*/site-packages")
    (site / "standin.pth").write_text(f"{STAND_IN}\n{there}\n")
    return folder / "bin" / "python3"


def torch_profile(paths: list[Path], python: Path, **options: object) -> ProfileSet:
    server = ServerOptions(python=python)
    return profile(paths, server=server, **(ONCE | options))  # type: ignore[arg-type]


def messages(profiles: ProfileSet) -> dict[str, str]:
    return {one.model_name: one.message for one in profiles.failures}


def test_three_files_come_to_a_placement_by_one_command_each(tmp_path: Path) -> None:
    write_classifier(tmp_path / "classifier.onnx")
    write_detector(tmp_path / "detector.onnx")
    write_encoder(tmp_path / "encoder.onnx")
    gpupack_command = [sys.executable, "-m", "gpupack"]
    quick = ["--max-seconds", "0.2", "--min-seconds", "0.1", "--warm-up", "0"]
    asked = [
        "--batch",
        "1,8",
        "--concurrency",
        "1",
        "--shape",
        "detector/image:3,32,32",
    ]

    measured = subprocess.run(
        [
            *gpupack_command,
            "profile",
            "classifier.onnx",
            "detector.onnx",
            "encoder.onnx",
            "--shape",
            "input_ids:16",
            *asked,
            *quick,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    placed = subprocess.run(
        [*gpupack_command, "place", "profiles.jsonl", "--allow-unstable"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert measured.returncode == 0, measured.stderr
    assert placed.returncode == 0, placed.stderr
    for name in ("classifier", "detector", "encoder"):
        assert name in placed.stdout
    profiles = read_profile_file(tmp_path / "profiles.jsonl")
    assert points(profiles) == [
        f"{name} cpu-fp32:{batch}x1"
        for name in ("classifier", "detector", "encoder")
        for batch in (1, 8)
    ]
    by_name = {one.model_name: one for one in profiles.records}
    assert by_name["classifier"].environment.input_shapes == {"image": (3, 32, 32)}
    # One length was given; the others' axis has its name.
    assert by_name["encoder"].environment.input_shapes == dict.fromkeys(
        ("input_ids", "attention_mask", "token_type_ids"), (16,)
    )
    for record in profiles.records:
        assert "onnxruntime" in record.environment.libraries
        variant = record.load_point.variant
        assert variant is not None
        assert (variant.execution_provider, variant.precision) == ("cpu", "fp32")


def test_files_that_cannot_be_served_are_named_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    good = write_classifier(tmp_path / "good.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    alone = write_classifier(
        tmp_path / "alone.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    (tmp_path / "weights.bin").unlink()
    later = write_classifier(tmp_path / "later.onnx", opset=99)
    acme = write_foreign_operator(tmp_path / "acme.onnx")
    fixed = write_classifier(tmp_path / "fixed.onnx", batch=1)
    unsized = write_detector(tmp_path / "unsized.onnx")
    files = [damaged, alone, later, acme, fixed, unsized, good, tmp_path / "gone.onnx"]

    profiles = profile(files, **ONCE)

    assert points(profiles) == [
        "fixed cpu-fp32:1x1",
        "good cpu-fp32:1x1",
        "good cpu-fp32:4x1",
    ]
    told = messages(profiles)
    assert "damaged one" in told["damaged"]
    assert "weights.bin, which is not beside it" in told["alone"]
    assert "opset 99" in told["later"]
    assert "opset_version=" in told["later"]
    assert "operator com.acme:Sharpen" in told["acme"]
    assert "max_batch_size: 0" in told["fixed"]
    assert "--shape image:3,64,64" in told["unsized"]
    assert "no model file" in told["gone"]
    assert {one.stage for one in profiles.failures} == {"inputs"}


def test_a_mended_file_is_measured_by_the_same_call(tmp_path: Path) -> None:
    store = tmp_path / "store.jsonl"
    good = write_classifier(tmp_path / "good.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"")
    asked = {"store": store, "batch_sizes": [1], "concurrency": [1], "options": PATIENT}

    first = profile([good, damaged], **asked)
    write_classifier(damaged)
    mended = profile([good, damaged], **asked)

    assert list(messages(first)) == ["damaged"]
    assert mended.failures == read_profile_file(store).failures == ()
    assert points(mended) == ["good cpu-fp32:1x1", "damaged cpu-fp32:1x1"]


def test_not_one_usable_file_is_an_error_that_names_each(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")

    with pytest.raises(InvalidInputError, match=r"a\.onnx.*empty.*; .*no model file"):
        profile([tmp_path / "a.onnx", tmp_path / "b.onnx"], **ONCE)


def test_a_kept_repository_is_served_by_itself(tmp_path: Path) -> None:
    network = write_classifier(
        tmp_path / "files" / "net.onnx",
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
    )
    kept = tmp_path / "kept"
    made = profile(network, files=ModelFileOptions(keep_repository=kept), **ONCE)
    for path in network.parent.iterdir():
        path.unlink()
    found = find_runtimes()
    assert found is not None

    again = profile(
        server=ServerOptions(model_repository=kept, python=found.python), **ONCE
    )

    assert points(made) == ["net cpu-fp32:1x1", "net cpu-fp32:4x1"]
    assert points(again) == ["net 1x1", "net 4x1"]
    text = (kept / "net" / "config.pbtxt").read_text()
    assert "onnxruntime" in text
    assert "max_batch_size: 4" in text

    (kept / "net" / "1" / "network.py").unlink()
    write_classifier(network)
    mine = profile(
        [network, write_classifier(tmp_path / "b.onnx")],
        files=ModelFileOptions(keep_repository=kept),
        **ONCE,
    )
    assert "was not made by gpupack" in messages(mine)["net"]


def test_precision_provider_and_instances_are_variants_that_verify_loads(
    tmp_path: Path,
) -> None:
    network = write_encoder(tmp_path / "net.onnx")
    kept = tmp_path / "kept"
    options = ModelFileOptions(
        precisions=["fp32", "fp16", "bf16"], keep_repository=kept
    )

    profiles = profile(
        network,
        files=options,
        instances=[2],
        inputs=InputOptions(shapes={"input_ids": [16]}),
        batch_sizes=[1],
        concurrency=[2],
        options=PATIENT,
    )

    assert points(profiles) == [
        "net cpu-fp32-2_instances:1x2",
        "net cpu-fp16-2_instances:1x2",
    ]
    assert {one.num_model_instances for one in profiles.records} == {2}
    assert "bf16 cannot be made" in messages(profiles)["net"]
    with pytest.raises(InvalidInputError, match="cuda computes on a GPU"):
        profile(network, files=ModelFileOptions(providers="cuda"), **ONCE)

    placement = gpupack.place(
        profiles, load_point="cpu-fp16-2_instances:1x2", allow_unstable=True
    )
    found = find_runtimes()
    assert found is not None
    verification = gpupack.verify(
        placement,
        server=ServerOptions(model_repository=kept, python=found.python),
        precision=0.5,
        options=PATIENT,
    )
    (gpu,) = verification.gpus
    (verdict,) = gpu.models
    assert verdict.alone_infer_per_sec is not None
    assert not any("see that the two are the same" in one for one in gpu.warnings)


def test_torch_files_are_served_too(torch_python: Path, tmp_path: Path) -> None:
    script = write_script(
        tmp_path / "script.pt", {"image": "Tensor", "token_ids": "Tensor"}, "fi"
    )
    program = write_program(
        tmp_path / "program.pt2",
        {"image": ["s0", 3, 8, 8], "result": ["s0", 1]},
        "f",
    )
    encoder = write_checkpoint(tmp_path / "encoder")
    shapes = {
        "script/image": [3, 8, 8],
        "token_ids": [5],
        "encoder/input_ids": [7],
    }

    profiles = torch_profile(
        [script, program, encoder], torch_python, inputs=InputOptions(shapes=shapes)
    )

    assert messages(profiles) == {}
    assert points(profiles) == [
        f"{name} cpu-fp32:{batch}x1"
        for name in ("script", "program", "encoder")
        for batch in (1, 4)
    ]
    by_name = {one.model_name: one for one in profiles.records}
    assert by_name["encoder"].environment.input_shapes == {
        "attention_mask": (7,),
        "input_ids": (7,),
    }
    assert by_name["program"].environment.libraries["torch"] == "0.0+standin"


def test_torch_files_that_cannot_be_served_are_named(
    torch_python: Path, tmp_path: Path
) -> None:
    unsized = write_script(tmp_path / "unsized.pt", {"image": "Tensor"}, "f")
    listed = write_script(tmp_path / "listed.pt", {"images": "List[Tensor]"}, "f")
    other = write_script(tmp_path / "other.pt", {"x": "Tensor"}, "f", operator="a::b")
    later = write_checkpoint(tmp_path / "later", architectures=["LaterModel"])
    good = write_program(
        tmp_path / "good.pt2", {"x": ["s0", 4], "result": ["s0", 1]}, "f"
    )

    profiles = torch_profile([unsized, listed, other, later, good], torch_python)

    told = messages(profiles)
    assert "--shape image:SIZES" in told["unsized"]
    assert "images is a List[Tensor]" in told["listed"]
    assert "operator" in told["other"]
    assert "LaterModel is not in transformers" in told["later"]
    assert points(profiles) == ["good cpu-fp32:1x1", "good cpu-fp32:4x1"]


def test_a_python_without_the_runtime_is_told(tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.pt", {"x": "Tensor"}, "f")
    found = find_runtimes()
    assert found is not None

    with pytest.raises(InvalidInputError, match=r"has no torch.*pip install torch"):
        profile(script, server=ServerOptions(python=found.python), **ONCE)
