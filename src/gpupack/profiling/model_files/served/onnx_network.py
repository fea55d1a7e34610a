"""An ONNX file in ONNX Runtime; travels into repositories as ``network.py``."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TRITON_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(double)": "FP64",
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(string)": "BYTES",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
}
NUMPY_TYPES = {
    "BOOL": np.bool_,
    "BYTES": np.object_,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
"""Those of the integers are their names in small letters."""
SUFFIX = "ExecutionProvider"
HAS_NUMPY_1 = np.__version__.startswith("1.")
"""The backend's stub takes arrays of NumPy 2 for empty ones; DLPack carries them."""


class OnnxNetwork:
    """An ONNX model, loaded for one execution provider in one precision.

    Raises:
        ValueError: There is no such provider or precision here.
    """

    def __init__(
        self,
        path: str,
        *,
        kind: str,
        provider: str,
        precision: str,
        device_index: int = 0,
        outputs: dict[str, str] | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        num_cpus = len(os.sched_getaffinity(0))
        if num_cpus < (os.cpu_count() or 1):
            # By itself it takes a thread for each core of the host.
            options.intra_op_num_threads = num_cpus
        wanted = find_provider(provider)
        chain: list[Any] = []
        if wanted == "CPU" + SUFFIX:
            chain = [wanted]
        else:
            if hasattr(onnxruntime, "preload_dlls"):
                onnxruntime.preload_dlls()
            others = ["CUDA" + SUFFIX] if wanted == "Tensorrt" + SUFFIX else []
            with_device = [(one, {"device_id": device_index}) for one in others]
            on_device = wanted in ("CUDA" + SUFFIX, "Tensorrt" + SUFFIX)
            first = (wanted, {"device_id": device_index}) if on_device else wanted
            chain = [first, *with_device, "CPU" + SUFFIX]
        self.session = onnxruntime.InferenceSession(
            converted(path, precision), options, providers=chain
        )
        if self.session.get_providers()[0] != wanted:
            raise ValueError(
                f"ONNX Runtime {onnxruntime.__version__} cannot use {wanted} here, "
                f"only {', '.join(self.session.get_providers())}: its libraries do not "
                "load"
            )
        self.output_names = [one.name for one in self.session.get_outputs()]

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs by name."""
        found = self.session.run(self.output_names, inputs)
        return dict(zip(self.output_names, found))  # noqa: B905


def receive(tensor: Any, datatype: str) -> Any:
    """Return a request's tensor as an array."""
    if HAS_NUMPY_1:
        return tensor.as_numpy()
    if datatype == "BYTES":
        raise ValueError("strings need NumPy 1 in the models' Python: 'numpy<2'")
    array = np.from_dlpack(tensor)
    return array.view(np.bool_) if datatype == "BOOL" else array


def send(pb_utils: Any, name: str, array: Any) -> Any:
    """Return an array as a response's tensor."""
    if HAS_NUMPY_1 or array.dtype == np.object_:
        return pb_utils.Tensor(name, array)
    return pb_utils.Tensor.from_dlpack(name, np.ascontiguousarray(array))


def find_provider(name: str) -> str:
    """Return ONNX Runtime's own name of a provider, such as ``cuda``.

    Raises:
        ValueError: It does not have it; names those that it has.
    """
    import onnxruntime

    known = onnxruntime.get_available_providers()
    for one in known:
        if one.lower() in (name.lower(), name.lower() + SUFFIX.lower()):
            return str(one)
    short = ", ".join(one[: -len(SUFFIX)].lower() for one in known)
    raise ValueError(
        f"ONNX Runtime {onnxruntime.__version__} has no execution provider {name}; "
        f"it has {short}"
    )


def converted(path: str, precision: str) -> Any:
    """Return the model in a precision, as its path or as bytes.

    Raises:
        ValueError: There is no way from the model's own to that one.
    """
    if not precision:
        return path
    own = own_precision(path)
    if precision == own:
        return path
    if precision == "fp16" and own == "fp32":
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        half = convert_float_to_float16(onnx.load(path), keep_io_types=True)
        if half.ByteSize() < 2**31 - 1:
            return half.SerializeToString()
        target = str(Path(tempfile.mkdtemp()) / "half.onnx")
        onnx.save(half, target, save_as_external_data=True)
        return target
    if precision == "int8" and own in ("fp32", "fp16"):
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with tempfile.TemporaryDirectory() as folder:
            quantized = Path(folder) / "int8.onnx"
            quantize_dynamic(path, str(quantized), weight_type=QuantType.QInt8)
            return quantized.read_bytes()
    raise ValueError(
        f"its weights are {own}, and {precision} cannot be made from that: fp16 and "
        "int8 are made from fp32; for another, export the model in it"
    )


def own_precision(path: str) -> str:
    """Return the precision of most weights: ``fp32``, ``fp16``, ``bf16``, ``int8``."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    return precision_of(model)


def precision_of(model: Any) -> str:
    """Return the precision of most weights of a parsed model."""
    import onnx

    kinds = onnx.TensorProto
    names = {
        kinds.FLOAT: "fp32",
        kinds.FLOAT16: "fp16",
        kinds.BFLOAT16: "bf16",
        kinds.DOUBLE: "fp64",
        kinds.INT8: "int8",
        kinds.UINT8: "int8",
    }
    counts: dict[str, int] = {}
    for tensor in initializers(model.graph):
        name = names.get(tensor.data_type)
        if name is not None:
            size = 1
            for dim in tensor.dims:
                size *= dim
            counts[name] = counts.get(name, 0) + size
    return max(counts, key=lambda name: counts[name]) if counts else "fp32"


def initializers(graph: Any) -> Any:
    """Yield the tensors that a graph and the graphs inside it hold."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from initializers(attribute.g)
            for inner in attribute.graphs:
                yield from initializers(inner)


def read(path: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the file says of itself, before it is loaded.

    Raises:
        ValueError: It is no ONNX model, or lacks a file.
    """
    import onnx
    import onnxruntime

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as err:
        raise ValueError(
            f"it is no ONNX model, or a damaged one ({first_line(err)}); export it, or "
            "copy it, again"
        ) from err
    if not model.ir_version or not model.graph.output:
        raise ValueError("it holds no ONNX graph with outputs; export the model again")
    folder = Path(path).parent
    files = [Path(path).name]
    for tensor in initializers(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            (name,) = [
                one.value for one in tensor.external_data if one.key == "location"
            ]
            if name not in files:
                files.append(name)
    lacking = [name for name in files if not (folder / name).is_file()]
    if lacking:
        raise ValueError(
            f"its weights are in {', '.join(lacking)}, which is not beside it; copy "
            "both files together"
        )
    return {
        "runtime": {"onnxruntime": onnxruntime.__version__},
        "precision": precision_of(model),
        "files": files,
        "opsets": {one.domain or "ai.onnx": one.version for one in model.opset_import},
    }


def signature(network: OnnxNetwork, request: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs and outputs of a loaded network.

    Raises:
        ValueError: One is no tensor, or of a type that Triton does not carry.
    """
    session = network.session
    return {
        "inputs": [described(one, "input") for one in session.get_inputs()],
        "outputs": [described(one, "output") for one in session.get_outputs()],
    }


def described(node: Any, role: str) -> dict[str, Any]:
    """Return one input or output: sizes are numbers, names of axes, or None."""
    if node.type not in TRITON_TYPES:
        way_out = (
            "; a scikit-learn model is exported with zipmap=False"
            if "map" in node.type
            else ""
        )
        raise ValueError(
            f"its {role} {node.name} is a {node.type}, which Triton's Python backend "
            f"does not carry{way_out}"
        )
    return {
        "name": node.name,
        "datatype": TRITON_TYPES[node.type],
        "dims": list(node.shape),
    }


def sample(datatype: str, dims: list[int]) -> Any:
    """Return an input to try."""
    kind = NUMPY_TYPES.get(datatype) or np.dtype(datatype.lower())
    if datatype == "BYTES":
        return np.full(dims, "", dtype=np.object_)
    return np.zeros(dims, dtype=kind)


def summary(value: Any) -> tuple[str, list[int]]:
    """Return the type and the shape of an output."""
    kinds = {np.dtype(kind): name for name, kind in NUMPY_TYPES.items()}
    name = kinds.get(value.dtype, str(value.dtype).upper())
    return str(name), list(value.shape)


def explain(error: Exception, facts: dict[str, Any]) -> str:
    """Return why the runtime refused the model, with a way out."""
    import onnx
    import onnxruntime

    told = re.sub(r"^.*?Load model from .*? failed:", "", first_line(error))
    runtime = f"ONNX Runtime {onnxruntime.__version__}"
    own = facts.get("opsets", {}).get("ai.onnx", 0)
    newest = re.search(r"till opset (\d+)", str(error))
    if newest or own > onnx.defs.onnx_opset_version():
        limit = newest[1] if newest else str(onnx.defs.onnx_opset_version())
        return (
            f"it is of opset {own}, and {runtime} goes to {limit}: export it with "
            f"opset_version={limit} or lower, or install a newer ONNX Runtime"
        )
    found = re.search(r"([\w.]*:?\w+)\(-?\d+\) is not a registered", told) or re.search(
        r"No Op registered for (\w+)", told
    )
    if found:
        return (
            f"its operator {found[1].lstrip(':')} is not in {runtime}: export it "
            "without that operator, or serve it with the library that has it, by a "
            "Triton of your own (--url)"
        )
    if "NOT_IMPLEMENTED" in str(error):
        return f"{runtime} does not implement one of its operators: {told}"
    return f"{runtime} does not load it: {told}"


def first_line(error: BaseException) -> str:
    """Return the beginning of what an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400]


Network = OnnxNetwork
"""By which ``model.py`` and ``describe.py`` know it."""
