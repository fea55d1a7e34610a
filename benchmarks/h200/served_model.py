"""A network as a Triton Python model: one instance, on its GPU, warm from the start.

This file travels into the model repository as ``model.py``. The model's configuration
names the architecture and the precision in its parameters.
"""

from __future__ import annotations

import json

import networks
import torch
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Run every request by itself, at the batch size the client chose."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the network with random weights and run it once at batch size 1.

        Larger batches are left to the client's warm-up: PyTorch keeps the memory it
        once needed, so running them here would show in every load point.
        """
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config["parameters"].items()
        }
        on_gpu = args["model_instance_kind"] == "GPU"
        gpu_index = args["model_instance_device_id"]
        self.device = torch.device(f"cuda:{gpu_index}" if on_gpu else "cpu")
        self.precision = getattr(torch, parameters["precision"])
        self.labels = parameters["output"] == "labels"
        # The GPU computes; this process only launches kernels.
        torch.set_num_threads(1)
        torch.manual_seed(0)
        with torch.device(self.device):
            network = networks.build_network(parameters["architecture"])
        self.network = network.eval().to(self.precision)
        (input_config,) = config["input"]
        shape = [1, *(int(size) for size in input_config["dims"])]
        self.takes_tokens = input_config["data_type"] == "TYPE_INT32"
        dtype = torch.int32 if self.takes_tokens else torch.float32
        for _ in range(2):
            self.infer(torch.zeros(shape, dtype=dtype))

    def infer(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scores per class, or the best class per voxel, on the host."""
        with torch.inference_mode():
            inputs = inputs.to(self.device)
            if not self.takes_tokens:
                inputs = inputs.to(self.precision)
            outputs = self.network(inputs)
            if self.labels:
                return outputs.argmax(dim=1, keepdim=True).to(torch.uint8).cpu()
            return outputs.float().cpu()

    def execute(self, requests: list) -> list:
        """Answer each request."""
        responses = []
        for request in requests:
            received = pb_utils.get_input_tensor_by_name(request, "INPUT")
            # By DLPack: the backend's stub mistakes arrays of NumPy 2 for empty ones.
            outputs = self.infer(torch.from_dlpack(received.to_dlpack()))
            tensor = pb_utils.Tensor.from_dlpack("OUTPUT", outputs)
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
