"""A model file behind Triton's Python backend.

gpupack writes this file into repositories as ``model.py``; ``network.py`` beside it
runs the model file that the configuration's parameters name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from network import Network, receive, send


class TritonPythonModel:
    """Answers each request by one run of the network, at the client's batch size."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network as the configuration's parameters say."""
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config["parameters"].items()
        }
        folder = Path(args["model_repository"]) / args["model_version"]
        self.inputs = {one["name"]: datatype(one) for one in config["input"]}
        self.outputs = {one["name"]: datatype(one) for one in config["output"]}
        precision = parameters["precision"]
        self.network = Network(
            # An absolute path stays as it is.
            str(folder / parameters["model_file"]),
            kind=parameters["kind"],
            provider=parameters["provider"],
            # As it is, where that is what is asked for.
            precision="" if precision == parameters["own_precision"] else precision,
            device_index=int(args.get("model_instance_device_id") or 0),
            outputs=self.outputs,
            trust_remote_code=parameters.get("trust_remote_code") == "true",
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; one that fails fails alone."""
        responses = []
        for request in requests:
            try:
                response = pb_utils.InferenceResponse(self.answer(request))
            except Exception as err:
                response = pb_utils.InferenceResponse(
                    error=pb_utils.TritonError(f"{type(err).__name__}: {err}")
                )
            responses.append(response)
        return responses

    def answer(self, request: Any) -> list[Any]:
        """Return the output tensors of one request."""
        given = {}
        for name, kind in self.inputs.items():
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            if tensor is not None:
                given[name] = receive(tensor, kind)
        found = self.network.run(given)
        return [send(pb_utils, name, found[name]) for name in self.outputs]


def datatype(tensor: dict[str, Any]) -> str:
    """Return a tensor's type as Triton's protocol spells it: ``FP32``."""
    name = tensor["data_type"].replace("TYPE_", "")
    return "BYTES" if name == "STRING" else str(name)
