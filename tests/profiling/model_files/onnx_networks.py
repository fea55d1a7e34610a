"""Small real networks as ONNX files, with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

OPSET, FORMAT_VERSION = 17, 8
VOCABULARY, WIDTH, NUM_CLASSES = 1000, 64, 10


def weights(name: str, *shape: int) -> Any:
    numbers = np.random.default_rng(len(name)).standard_normal(shape)
    return numpy_helper.from_array((0.05 * numbers).astype(np.float32), name)


def whole(name: str, *numbers: int) -> Any:
    return numpy_helper.from_array(np.array(numbers, dtype=np.int64), name)


def tensor(name: str, dims: list[int | str], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, dims)


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: list[Any],
    *,
    opset: int = OPSET,
    domains: tuple[str, ...] = (),
    **options: Any,
) -> Path:
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, constants)
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(domain, 1) for domain in domains]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=FORMAT_VERSION)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path), **options)
    return path


def write_classifier(
    path: Path, *, batch: int | str = "batch", opset: int = OPSET, **options: Any
) -> Path:
    """Write an image classifier; its batch is dynamic unless it is a number."""
    nodes = [
        helper.make_node(
            "Conv", ["image", "stem"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]
        ),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "head"], ["scores"]),
    ]
    return save(
        path,
        nodes,
        [tensor("image", [batch, 3, 32, 32])],
        [tensor("scores", [batch, NUM_CLASSES])],
        [weights("stem", 16, 3, 3, 3), weights("head", 16, NUM_CLASSES)],
        opset=opset,
        **options,
    )


def write_detector(path: Path) -> Path:
    """Write a detector of two outputs; the names of their batch axis are the export's.

    Height and width are dynamic.
    """
    nodes = [
        helper.make_node(
            "Conv", ["image", "stem"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]
        ),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "box"], ["b"]),
        helper.make_node("Conv", ["r", "class"], ["s"]),
        helper.make_node("Reshape", ["b", "four"], ["boxes"]),
        helper.make_node("Reshape", ["s", "two"], ["scores"]),
    ]
    constants = [
        weights("stem", 16, 3, 3, 3),
        weights("box", 4, 16, 1, 1),
        weights("class", 2, 16, 1, 1),
        whole("four", 0, 4, -1),
        whole("two", 0, 2, -1),
    ]
    return save(
        path,
        nodes,
        [tensor("image", ["batch", 3, "height", "width"])],
        [
            tensor("boxes", ["Reshapeboxes_dim_0", 4, "anchors"]),
            tensor("scores", ["Reshapescores_dim_0", 2, "anchors"]),
        ],
        constants,
    )


def write_encoder(path: Path) -> Path:
    """Write a text encoder: token ids and their mask in, one embedding out."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["e"]),
        helper.make_node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["m", "last"], ["wide"]),
        helper.make_node("Mul", ["e", "wide"], ["seen"]),
        helper.make_node("Gather", ["kinds", "token_type_ids"], ["k"]),
        helper.make_node("Add", ["seen", "k"], ["sum"]),
        helper.make_node("MatMul", ["sum", "dense"], ["d"]),
        helper.make_node("Relu", ["d"], ["a"]),
        helper.make_node("ReduceMean", ["a"], ["embedding"], axes=[1], keepdims=0),
    ]
    names = ("input_ids", "attention_mask", "token_type_ids")
    dims: list[int | str] = ["batch", "sequence"]
    return save(
        path,
        nodes,
        [tensor(name, dims, TensorProto.INT64) for name in names],
        [tensor("embedding", ["batch", WIDTH])],
        [
            weights("table", VOCABULARY, WIDTH),
            weights("kinds", 2, WIDTH),
            weights("dense", WIDTH, WIDTH),
            whole("last", 2),
        ],
    )


def write_foreign_operator(path: Path) -> Path:
    """Write a network with an operator that ONNX Runtime does not have."""
    return save(
        path,
        [helper.make_node("Sharpen", ["x"], ["y"], domain="com.acme")],
        [tensor("x", ["batch", 4])],
        [tensor("y", ["batch", 4])],
        [],
        domains=("com.acme",),
    )
