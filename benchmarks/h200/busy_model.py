"""A network that keeps the GPU busy, as a Triton Python model.

This file travels into the model repository as ``model.py``. One request is one raw
picture or text; the network sees it ``crops`` times, as services do that look at many
crops, frames or candidates. So requests stay small while the GPU has a batch to do.
``host`` makes the host prepare the input; else the GPU does. ``captured`` launches a
CUDA graph, as a compiled deployment does; else hundreds of kernels are launched one by
one (eager PyTorch). ``wait_ms`` waits for another service first, such as a store of
features. ``host_speed`` makes every request time a little arithmetic on the host first.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import pipeline_networks
import torch
import triton_python_backend_utils as pb_utils
from host_speed import PARAMETER, HostSpeed
from torch.nn import functional

_NUM_TRIAL_RUNS = 3
_NUM_TOKENS = 30000


class TritonPythonModel:
    """Run every request by itself."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the network and run it, as a deployment warms up."""
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config["parameters"].items()
        }
        self.on_gpu = args["model_instance_kind"] == "GPU"
        index = args["model_instance_device_id"]
        self.device = torch.device(f"cuda:{index}" if self.on_gpu else "cpu")
        self.size = int(parameters["size"])
        self.crops = int(parameters["crops"]) if self.on_gpu else 1
        self.is_text = parameters["input"] == "text"
        self.on_host = parameters["host"] == "yes"
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.precision = torch.float16 if self.on_gpu else torch.float32
        with torch.device(self.device):
            network = pipeline_networks.build_network(parameters["architecture"])
        network = network.eval().to(self.precision)
        if not self.is_text and self.on_gpu:
            network = network.to(memory_format=torch.channels_last)
        self.network = network
        self.wait_s = float(parameters.get("wait_ms", 0)) / 1e3
        self.chance = random.Random(args["model_name"])
        self.graph = None
        dims = [int(size) for size in config["input"][0]["dims"]]
        example = torch.zeros([1, *dims], dtype=torch.uint8)
        with torch.inference_mode():
            if self.on_gpu and parameters["captured"] == "yes":
                self.try_to_capture(self.on_device(example))
            for _ in range(_NUM_TRIAL_RUNS if self.on_gpu else 1):
                self.infer(example)
        folder = parameters.get(PARAMETER)
        self.host_speed = (
            HostSpeed(Path(folder), args["model_name"]) if folder else None
        )

    def finalize(self) -> None:
        """Write the last readings of the host's speed."""
        if self.host_speed is not None:
            self.host_speed.close()

    def on_device(self, raw: torch.Tensor) -> torch.Tensor:
        """Return what goes to the GPU, prepared on the host if that is its task."""
        if self.on_host and self.is_text:
            words = bytes(raw[0].tolist()).decode("latin-1")
            found = [_number_of(words[at : at + 4]) for at in range(self.size)]
            return torch.tensor([found]).to(self.device)
        if self.on_host:
            picture = raw.to(torch.float32).permute(0, 3, 1, 2) / 255
            picture = functional.interpolate(
                picture, size=(self.size, self.size), mode="bilinear", antialias=True
            )
            return ((picture - 0.45) / 0.225).to(self.precision).to(self.device)
        return raw.to(self.device)

    def compute(self, given: torch.Tensor) -> torch.Tensor:
        """Return the scores, on the device."""
        if self.is_text:
            if not self.on_host:
                given = given[:, : self.size].long() * 113
            tokens = given.repeat(self.crops, 1)
            # Crops differ, as candidates do.
            tokens = tokens + torch.arange(self.crops, device=self.device)[:, None]
            scores = self.network(tokens % _NUM_TOKENS)
        else:
            if not self.on_host:
                given = given.permute(0, 3, 1, 2).to(self.precision)
                given = (given / 255 - 0.45) / 0.225
            pictures = given.repeat(self.crops, 1, 1, 1)
            if self.on_gpu:
                pictures = pictures.contiguous(memory_format=torch.channels_last)
            scores = self.network(pictures)
        return torch.softmax(scores.float(), dim=1).mean(0, keepdim=True)

    def try_to_capture(self, example: torch.Tensor) -> None:
        """Capture what can be; the rest is launched kernel by kernel, and said so."""
        try:
            self.capture(example)
        except RuntimeError as err:
            self.graph = None
            print(f"not captured: {err}", file=sys.stderr, flush=True)
            torch.cuda.synchronize(self.device)

    def capture(self, example: torch.Tensor) -> None:
        """Record the kernels of one request as a CUDA graph."""
        stream = torch.cuda.Stream(self.device)
        self.given = example.clone()
        with torch.cuda.stream(stream):
            for _ in range(_NUM_TRIAL_RUNS):
                self.compute(self.given)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self.found = self.compute(self.given)
        self.graph = graph

    def infer(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the scores of one request, on the host."""
        given = self.on_device(raw)
        if self.graph is None:
            return self.compute(given).cpu()
        self.given.copy_(given)
        self.graph.replay()
        return self.found.cpu()

    @torch.inference_mode()
    def execute(self, requests: list) -> list:
        """Answer each request."""
        responses = []
        for request in requests:
            if self.wait_s:
                time.sleep(self.wait_s * self.chance.uniform(0.5, 1.5))
            if self.host_speed is not None:
                self.host_speed.read()
            received = pb_utils.get_input_tensor_by_name(request, "INPUT")
            # By DLPack: the backend's stub mistakes arrays of NumPy 2 for empty ones.
            scores = self.infer(torch.from_dlpack(received.to_dlpack()))
            tensor = pb_utils.Tensor.from_dlpack("OUTPUT", scores.contiguous())
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses


def _number_of(word: str) -> int:
    number = 7
    for letter in word:
        number = (number * 31 + ord(letter)) % 29989
    return number
