"""A pipeline as people write it: preparation on the host, then eager PyTorch.

This file travels into the model repository as ``model.py``. A request is a raw picture
or a text; the host resizes and normalizes it, or cuts it into tokens, before the GPU
has anything to do, and hundreds of small kernels are launched one by one.
"""

from __future__ import annotations

import json

import pipeline_networks
import torch
import triton_python_backend_utils as pb_utils
from torch.nn import functional

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
_SPREAD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class TritonPythonModel:
    """Run every request by itself, at the batch size the client chose."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the network and run it once, as a deployment warms up."""
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config["parameters"].items()
        }
        on_gpu = args["model_instance_kind"] == "GPU"
        index = args["model_instance_device_id"]
        self.device = torch.device(f"cuda:{index}" if on_gpu else "cpu")
        self.size = int(parameters["size"])
        self.takes_text = parameters["input"] == "text"
        torch.set_num_threads(1)
        torch.manual_seed(0)
        precision = torch.float16 if on_gpu else torch.float32
        self.precision = precision
        with torch.device(self.device):
            network = pipeline_networks.build_network(parameters["architecture"])
        self.network = network.eval().to(precision)
        dims = [int(size) for size in config["input"][0]["dims"]]
        with torch.inference_mode():
            for _ in range(3 if on_gpu else 1):
                self.infer(torch.zeros([1, *dims], dtype=torch.uint8))

    def prepare(self, raw: torch.Tensor) -> torch.Tensor:
        """Return what the network takes, made on the host."""
        if self.takes_text:
            words = bytes(raw[0].tolist()).decode("latin-1").split(" ")
            found = [hash_of(word) for word in words][: self.size]
            found += [0] * (self.size - len(found))
            return torch.tensor([found])
        picture = raw.to(torch.float32).permute(0, 3, 1, 2) / 255
        picture = functional.interpolate(
            picture, size=(self.size, self.size), mode="bilinear", antialias=True
        )
        return (picture - _MEAN) / _SPREAD

    def infer(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the scores of one request, on the host."""
        prepared = self.prepare(raw)
        if not self.takes_text:
            prepared = prepared.to(self.precision)
        scores = self.network(prepared.to(self.device))
        return torch.softmax(scores.float().cpu(), dim=1)

    @torch.inference_mode()
    def execute(self, requests: list) -> list:
        """Answer each request."""
        responses = []
        for request in requests:
            received = pb_utils.get_input_tensor_by_name(request, "INPUT")
            # By DLPack: the backend's stub mistakes arrays of NumPy 2 for empty ones.
            scores = self.infer(torch.from_dlpack(received.to_dlpack()))
            tensor = pb_utils.Tensor.from_dlpack("OUTPUT", scores.contiguous())
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses


def hash_of(word: str) -> int:
    """Return a number below 30,000 for a word, letter by letter."""
    number = 7
    for letter in word:
        number = (number * 31 + ord(letter)) % 29989
    return number
