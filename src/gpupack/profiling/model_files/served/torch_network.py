"""TorchScript, a ``torch.export`` program or a checkpoint of Hugging Face in PyTorch.

Travels into repositories as ``network.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

TRITON_TYPES = {
    torch.bool: "BOOL",
    torch.float16: "FP16",
    torch.bfloat16: "BF16",
    torch.float32: "FP32",
    torch.float64: "FP64",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.uint8: "UINT8",
}
TORCH_TYPES = {name: kind for kind, name in TRITON_TYPES.items()}
PRECISIONS = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp64": torch.float64,
}
WHOLE_NUMBERS = ("ids", "mask", "tokens", "indices", "labels", "positions", "offsets")
"""An input whose name ends so holds whole numbers, where nothing says its type."""
SCRIPT, PROGRAM, CHECKPOINT = "torchscript", "export", "checkpoint"


class TorchNetwork:
    """A network of PyTorch, loaded on one device in one precision.

    Raises:
        ValueError: There is no such device or precision, or it needs code of its own.
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
        self.device = find_device(provider, device_index)
        self.kind = kind
        self.outputs = {name: TORCH_TYPES[one] for name, one in (outputs or {}).items()}
        self.in_spec: Any = None
        if kind == SCRIPT:
            self.module = torch.jit.load(path, map_location=self.device).eval()
            self.inputs = script_inputs(self.module)
        elif kind == PROGRAM:
            self._load_program(path)
        else:
            self.module = load_checkpoint(path, trust_remote_code)
            self.module = self.module.to(self.device).eval()
            self.inputs = checkpoint_inputs(self.module)
        self.cast: Any = None
        if precision and precision != self.precision():
            if precision not in PRECISIONS:
                raise ValueError(
                    f"PyTorch runs it in {', '.join(PRECISIONS)}, not in {precision}"
                )
            self.cast = PRECISIONS[precision]
            self.module = self.module.to(self.cast)

    def _load_program(self, path: str) -> None:
        program = torch.export.load(path)
        if self.device.type != "cpu":
            passes = __import__("importlib").import_module("torch.export.passes")
            program = passes.move_to_device_pass(program, self.device)
        self.module = program.module()
        self.in_spec = program.call_spec.in_spec
        self.inputs = program_inputs(program)
        self.program_outputs = program_outputs(program)
        self.module = self.module.to(self.device)

    def precision(self) -> str:
        """Return the precision of most weights."""
        counts: dict[str, int] = {}
        names = {kind: name for name, kind in PRECISIONS.items()}
        for one in self.module.parameters():
            name = names.get(one.dtype)
            if name is not None:
                counts[name] = counts.get(name, 0) + one.numel()
        return max(counts, key=lambda name: counts[name]) if counts else "fp32"

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs by name, in the host's memory."""
        with torch.inference_mode():
            moved = {}
            for name, tensor in inputs.items():
                on_device = tensor.to(self.device)
                if self.cast is not None and on_device.is_floating_point():
                    on_device = on_device.to(self.cast)
                moved[name] = on_device
            found = named_outputs(self._call(moved))
            answers = {}
            for name, tensor in found.items():
                wanted = self.outputs.get(name, tensor.dtype)
                answers[name] = tensor.to(wanted).to("cpu").contiguous()
        return answers

    def _call(self, moved: dict[str, Any]) -> Any:
        if self.kind == CHECKPOINT:
            return self.module(**moved)
        given = [moved[one["name"]] for one in self.inputs if one["name"] in moved]
        if self.in_spec is None:
            return self.module(*given)
        from torch.utils import _pytree

        args, kwargs = _pytree.tree_unflatten(given, self.in_spec)
        return self.module(*args, **kwargs)


def receive(tensor: Any, datatype: str) -> Any:
    """Return a request's tensor; by DLPack, which every NumPy bears."""
    found = torch.from_dlpack(tensor.to_dlpack())
    return found.to(torch.bool) if datatype == "BOOL" else found


def send(pb_utils: Any, name: str, tensor: Any) -> Any:
    """Return a tensor of the host as a response's."""
    return pb_utils.Tensor.from_dlpack(name, tensor)


def find_device(provider: str, device_index: int) -> Any:
    """Return the device of a provider's name.

    Raises:
        ValueError: PyTorch has none of that name here.
    """
    if provider == "cpu":
        return torch.device("cpu")
    if provider != "cuda":
        raise ValueError(f"PyTorch runs on cpu or cuda, not on {provider}")
    if not torch.cuda.is_available():
        raise ValueError(
            f"PyTorch {torch.__version__} sees no GPU here: install a build for CUDA "
            "and this driver, or say --provider cpu"
        )
    return torch.device("cuda", device_index)


def script_inputs(module: Any) -> list[dict[str, Any]]:
    """Return the inputs of a TorchScript module, whose file says their names alone.

    Raises:
        ValueError: One that is needed is no tensor.
    """
    inputs = []
    for one in list(module.forward.schema.arguments)[1:]:
        kind = str(one.type)
        if kind not in ("Tensor", "Optional[Tensor]"):
            if one.has_default_value():
                continue
            raise ValueError(
                f"its input {one.name} is a {kind}, and Triton carries tensors alone: "
                "script a module whose forward() takes tensors"
            )
        if kind == "Optional[Tensor]" and one.has_default_value():
            continue
        whole = one.name.lower().endswith(WHOLE_NUMBERS)
        inputs.append(
            {
                "name": one.name,
                "datatype": "INT64" if whole else "FP32",
                "dims": None,
                "is_guessed": True,
            }
        )
    return inputs


def program_inputs(program: Any) -> list[dict[str, Any]]:
    """Return the inputs of an exported program, in the order of its call.

    Raises:
        ValueError: One is no tensor.
    """
    values = graph_values(program)
    inputs = []
    for name in program.graph_signature.user_inputs:
        value = values.get(name)
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"its input {name} is no tensor, and Triton carries tensors alone: "
                "export a module whose forward() takes tensors"
            )
        inputs.append(program_tensor(name, value))
    return inputs


def program_outputs(program: Any) -> list[dict[str, Any]]:
    """Return the outputs of an exported program, named as those of its call."""
    from torch.utils import _pytree

    values = graph_values(program)
    found = [values.get(name) for name in program.graph_signature.user_outputs]
    answer = _pytree.tree_unflatten(found, program.call_spec.out_spec)
    return [program_tensor(name, one) for name, one in named_outputs(answer).items()]


def graph_values(program: Any) -> dict[str, Any]:
    """Return the example values of a program's graph, by node."""
    return {node.name: node.meta.get("val") for node in program.graph.nodes}


def program_tensor(name: str, value: Any) -> dict[str, Any]:
    """Return one tensor of a program; a dynamic axis has its symbol for a name."""
    dims = [size if isinstance(size, int) else str(size) for size in value.shape]
    return {"name": name, "datatype": TRITON_TYPES[value.dtype], "dims": dims}


def load_checkpoint(path: str, trust_remote_code: bool) -> Any:
    """Return the network of a checkpoint's folder; nothing is fetched.

    Raises:
        ValueError: It needs code of its own and is not trusted, or its class is not in
            the transformers that are here.
    """
    import transformers

    config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    own_code = config.get("auto_map") or {}
    options = {"dtype": "auto", "local_files_only": not trust_remote_code}
    if own_code:
        if not trust_remote_code:
            raise ValueError("it needs code of its own")
        names = [name for name in own_code if name.startswith("AutoModel")]
        loader = getattr(transformers, names[0] if names else "AutoModel")
        return loader.from_pretrained(path, trust_remote_code=True, **options)
    architectures = config.get("architectures") or ["AutoModel"]
    loader = getattr(transformers, architectures[0], None)
    if loader is None:
        raise ValueError(
            f"its network {architectures[0]} is not in transformers "
            f"{transformers.__version__}: it may need a newer one"
        )
    return loader.from_pretrained(path, trust_remote_code=False, **options)


def checkpoint_inputs(module: Any) -> list[dict[str, Any]]:
    """Return what a network of transformers needs for one run, sizes where known."""
    import inspect

    config = module.config
    main = module.main_input_name
    takes = inspect.signature(module.forward).parameters
    if main == "pixel_values":
        vision = getattr(config, "vision_config", config)
        size = getattr(vision, "image_size", None)
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        channels = getattr(vision, "num_channels", 3)
        dims = ["batch", channels, height or "height", width or "width"]
        return [{"name": main, "datatype": "FP32", "dims": dims}]
    if main != "input_ids":
        return [{"name": main, "datatype": "FP32", "dims": ["batch", "length"]}]
    names = ["input_ids"]
    if "attention_mask" in takes:
        names.append("attention_mask")
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in takes:
        names.append("decoder_input_ids")
    if "pixel_values" in takes:
        raise ValueError(
            "it takes images and text together: export it to ONNX with the inputs that "
            "it shall be measured with"
        )
    return [
        {"name": name, "datatype": "INT64", "dims": ["batch", "sequence"]}
        for name in names
    ]


def named_outputs(found: Any) -> dict[str, Any]:
    """Return the tensors of whatever a network returned, by name."""
    if isinstance(found, torch.Tensor):
        return {"output_0": found}
    answers: dict[str, Any] = {}
    if hasattr(found, "items"):
        for name, value in found.items():
            if isinstance(value, torch.Tensor):
                answers[str(name)] = value
        return answers
    for value in flattened(found):
        answers[f"output_{len(answers)}"] = value
    return answers


def flattened(found: Any) -> Any:
    """Yield the tensors in nested lists, tuples and mappings."""
    if isinstance(found, torch.Tensor):
        yield found
    elif isinstance(found, (list, tuple)):
        for one in found:
            yield from flattened(one)
    elif hasattr(found, "values"):
        for one in found.values():
            yield from flattened(one)


def read(path: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return what runs the file."""
    runtime = {"torch": torch.__version__}
    if request["kind"] == CHECKPOINT:
        import transformers

        runtime["transformers"] = transformers.__version__
    return {"runtime": runtime, "files": [Path(path).name]}


def signature(network: TorchNetwork, request: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of a loaded network, and its outputs where the file says."""
    told: dict[str, Any] = {"precision": network.precision(), "inputs": network.inputs}
    if network.kind == PROGRAM:
        told["outputs"] = network.program_outputs
    return told


def sample(datatype: str, dims: list[int]) -> Any:
    """Return an input to try; a mask of ones lets every token be seen."""
    return torch.zeros(dims, dtype=TORCH_TYPES[datatype])


def summary(value: Any) -> tuple[str, list[int]]:
    """Return the type and the shape of an output."""
    return TRITON_TYPES[value.dtype], list(value.shape)


def explain(error: Exception, facts: dict[str, Any]) -> str:
    """Return why the runtime refused the model, with a way out."""
    runtime = f"PyTorch {torch.__version__}"
    told = first_line(error)
    if "Unknown builtin op" in told or "Unknown builtin op" in str(error):
        return (
            f"it calls an operator that {runtime} does not have ({told}): install the "
            "library that registers it into the models' Python, or export without it"
        )
    return (
        f"{runtime} does not load it: {told}; if a newer PyTorch wrote it, install "
        "that one, otherwise save it again"
    )


def first_line(error: BaseException | None) -> str:
    """Return the beginning of what an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400]


Network = TorchNetwork
"""By which ``model.py`` and ``describe.py`` know it."""
