"""Inputs made from a model's own description."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from gpupack.errors import InvalidInputError
from gpupack.profiling.load.tensors import make_inputs, numpy_type
from gpupack.profiling.server.signature import ModelSignature, TensorSpec


def signature(
    datatype: str = "FP32",
    dims: tuple[int, ...] = (4,),
    *,
    max_batch_size: int = 8,
    is_optional: bool = False,
) -> ModelSignature:
    spec = TensorSpec("X", datatype, dims, is_optional)
    return ModelSignature("m", "python", max_batch_size, (spec,), (spec,))


@pytest.mark.parametrize(
    "datatype",
    [
        "BOOL",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "FP16",
        "FP32",
        "FP64",
        "BYTES",
    ],
)
def test_every_datatype_is_made_in_its_own_type_and_shape(datatype: str) -> None:
    array = make_inputs(signature(datatype, (3, 2)), 5)["X"]

    assert array.shape == (5, 3, 2)
    assert array.dtype == numpy_type(datatype)
    if datatype == "BYTES":
        assert {len(item) for item in array.reshape(-1)} == {16}


def test_the_same_seed_makes_the_same_inputs_and_another_does_not() -> None:
    first, same, other = (
        make_inputs(signature(dims=(50,)), 1, seed=seed)["X"] for seed in (1, 1, 2)
    )

    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_model_without_batch_dimension_gets_none() -> None:
    assert make_inputs(signature(max_batch_size=0), 1)["X"].shape == (4,)


@pytest.mark.parametrize(("limit", "batch_size"), [(8, 9), (1, 2), (0, 2)])
def test_a_batch_above_the_limit_is_refused(limit: int, batch_size: int) -> None:
    with pytest.raises(InvalidInputError, match=f"batch size {batch_size}"):
        make_inputs(signature(max_batch_size=limit), batch_size)


def test_optional_inputs_are_left_out_unless_given() -> None:
    optional = signature(is_optional=True)

    assert make_inputs(optional, 1) == {}
    assert make_inputs(optional, 1, shapes={"X": [4]})["X"].shape == (1, 4)
    assert make_inputs(optional, 1, fills_optional=True)["X"].shape == (1, 4)


@pytest.mark.parametrize("shape", [[3], [3, 5], [0, 4], [3, 4, 1], [-1, 4]])
def test_a_given_shape_that_does_not_fit_is_refused(shape: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="does not fit"):
        make_inputs(signature(dims=(-1, 4)), 1, shapes={"X": shape})


def test_a_shape_for_an_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no input Z"):
        make_inputs(signature(), 1, shapes={"Z": [4]})


def test_an_unsupported_datatype_is_named() -> None:
    with pytest.raises(InvalidInputError, match="FP8"):
        make_inputs(signature("FP8"), 1)


def test_perf_analyzers_json_and_json_lines_are_stacks_of_inputs(
    tmp_path: Path,
) -> None:
    flat = {"X": [1, 2, 3, 4]}
    shaped = {"X": {"content": [5, 6, 7, 8], "shape": [2, 2]}}
    encoded = base64.b64encode(np.arange(4, dtype=np.float32).tobytes()).decode()
    perf, lines = tmp_path / "data.json", tmp_path / "data.jsonl"
    perf.write_text(json.dumps({"data": [flat, [shaped, {"X": {"b64": encoded}}]]}))
    lines.write_text("".join(json.dumps(one) + "\n" for one in (flat, shaped)))
    model = signature(dims=(2, 2))

    three = make_inputs(model, 4, data_path=perf)["X"]
    two = make_inputs(model, 2, data_path=lines)["X"]

    first, second, third = ([[1, 2], [3, 4]], [[5, 6], [7, 8]], [[0, 1], [2, 3]])
    assert three.tolist() == [first, second, third, first]
    assert two.tolist() == [first, second]
    assert three.dtype == np.float32


def test_texts_and_files_reach_a_model_that_takes_strings(tmp_path: Path) -> None:
    lines, folder = tmp_path / "prompts.jsonl", tmp_path / "images"
    folder.mkdir()
    lines.write_text('{"X": "grüß"}\n{"X": "hello"}\n')
    (folder / "a.png").write_bytes(b"\x89PNG\0")
    (folder / "b.png").write_bytes(b"other\0")
    texts = signature("BYTES", (1,))

    prompts = make_inputs(texts, 2, data_path=lines)["X"]
    images = make_inputs(texts, 2, data_path=folder)["X"]

    assert prompts.tolist() == [["grüß".encode()], [b"hello"]]
    assert images.tolist() == [[b"\x89PNG\0"], [b"other\0"]]
    with pytest.raises(InvalidInputError, match=r"save a \.npz"):
        make_inputs(signature(), 1, data_path=folder)
    lines.write_text("{")
    with pytest.raises(InvalidInputError, match="cannot read input data"):
        make_inputs(texts, 1, data_path=lines)


def test_one_real_input_is_repeated_and_a_stack_is_taken_from_its_start(
    tmp_path: Path,
) -> None:
    one, stack = tmp_path / "one.npz", tmp_path / "stack.npz"
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez(one, X=rows[1])
    np.savez(stack, X=rows)

    repeated = make_inputs(signature(), 2, data_path=one)["X"]
    taken = make_inputs(signature(), 2, data_path=stack)["X"]
    cycled = make_inputs(signature(), 5, data_path=stack)["X"]

    assert repeated.tolist() == [rows[1].tolist()] * 2
    assert taken.tolist() == rows[:2].tolist()
    assert cycled.tolist() == [rows[index].tolist() for index in (0, 1, 2, 0, 1)]


def test_real_strings_are_sent_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "strings.npz"
    np.savez(path, X=np.array(["grün", "b"]))

    array = make_inputs(signature("BYTES", (2,)), 1, data_path=path)["X"]

    assert array.tolist() == [["grün".encode(), b"b"]]


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"Y": np.ones(4, np.float32)}, "has no array of that name; it holds Y"),
        ({"X": np.ones(4)}, "has float64, the model takes FP32"),
        ({"X": np.ones((2, 5), np.float32)}, r"shape \[2, 5\], the model takes \[4\]"),
        ({"X": np.ones((0, 4), np.float32)}, r"shape \[0, 4\]"),
    ],
)
def test_real_data_that_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], told: str
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)

    with pytest.raises(InvalidInputError, match=told):
        make_inputs(signature(), 1, data_path=path)


@pytest.mark.parametrize(
    ("datatype", "num_bytes"), [("FP64", 8), ("INT8", 1), ("BYTES", 16)]
)
def test_a_request_of_more_than_two_gib_is_refused_before_it_is_made(
    datatype: str, num_bytes: int
) -> None:
    size = 2**31 // num_bytes // 8 + 1  # times 8: one more than 2 GiB hold

    with pytest.raises(
        InvalidInputError, match="batch size 8 has .* at most 2,048 MiB"
    ):
        make_inputs(signature(datatype, (-1,)), 8, shapes={"X": [size]})


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 0, got -1"):
        make_inputs(signature(), 1, seed=-1)


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    np.savez_compressed(path, X=np.arange(4000, dtype=np.float32))
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        whole[:200] + bytes(50) + whole[250:],
        whole.replace(b"X.npy", b"Y.npy", 1),
    ):
        path.write_bytes(damaged)
        with pytest.raises(InvalidInputError, match="cannot read input data"):
            make_inputs(signature(), 1, data_path=path)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)

    with pytest.raises(InvalidInputError, match="cannot read input data"):
        make_inputs(signature(), 1, data_path=path)


def test_a_configuration_becomes_a_signature() -> None:
    parsed = ModelSignature.parse(
        {
            "name": "m",
            "platform": "onnxruntime_onnx",
            "max_batch_size": "4",  # gRPC's JSON has 64-bit numbers as text
            "input": [{"name": "T", "data_type": "TYPE_STRING", "dims": ["-1"]}],
            "output": [{"name": "Y", "data_type": "TYPE_FP16", "dims": [2]}],
            "instance_group": [
                {"count": 2, "kind": "KIND_GPU", "gpus": [0, 1]},
                {"count": 3, "kind": "KIND_CPU"},
            ],
        }
    )

    assert parsed.inputs == (TensorSpec("T", "BYTES", (-1,)),)
    assert parsed.outputs == (TensorSpec("Y", "FP16", (2,)),)
    assert parsed.max_batch_size == 4
    assert parsed.num_model_instances == 7  # two on each of two GPUs, three on CPUs
