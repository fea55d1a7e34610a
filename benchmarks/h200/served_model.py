"""A network as a Triton Python model: one instance, one launch per request.

This file travels into the model repository as ``model.py``. The model's configuration
names the architecture and the precision in its parameters.

On a GPU every batch size is captured as a CUDA graph at its first request, copies in
and out included. Then a request costs the host one launch and one wait, as in a
compiled deployment, and what is measured is the GPU, not how fast a Python process
launches hundreds of small kernels.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import networks
import torch
import triton_python_backend_utils as pb_utils
from torch import Tensor

_NUM_TRIAL_RUNS = 3
"""Before capturing: libraries choose their kernels in the first runs."""
_MAX_BYTE = 255.0


class CapturedNetwork:
    """A network at one batch size, as a CUDA graph between two host buffers.

    Args:
        network: Takes inputs on the device and returns outputs there.
        example: A host tensor of the shape and type to come.
        device: Where to compute.
        pool: Memory shared with the other batch sizes of the model: only one of them
            runs at a time, and its outputs are on the host before the next begins.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        example: Tensor,
        device: torch.device,
        pool: tuple[int, int],
    ) -> None:
        self._host_inputs = torch.empty(
            example.shape, dtype=example.dtype, pin_memory=True
        )
        self._stream = torch.cuda.Stream(device)
        # A waiting process sleeps, so that many of them fit on few cores.
        self._done = torch.cuda.Event(blocking=True)
        with torch.cuda.stream(self._stream):
            inputs = torch.empty(example.shape, dtype=example.dtype, device=device)
            inputs.copy_(example)
            for _ in range(_NUM_TRIAL_RUNS):
                outputs = network(inputs)
            self._host_outputs = torch.empty(
                outputs.shape, dtype=outputs.dtype, pin_memory=True
            )
            del outputs
        self._stream.synchronize()
        torch.cuda.empty_cache()
        self._inputs = inputs
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            self._graph,
            pool=pool,
            stream=self._stream,
            capture_error_mode="thread_local",
        ):
            self._inputs.copy_(self._host_inputs, non_blocking=True)
            self._host_outputs.copy_(network(self._inputs), non_blocking=True)

    def run(self, inputs: Tensor) -> Tensor:
        """Return the outputs on the host, in a buffer that the next run overwrites."""
        self._host_inputs.copy_(inputs)
        with torch.cuda.stream(self._stream):
            self._graph.replay()
            self._done.record(self._stream)
        self._done.synchronize()
        return self._host_outputs


class TritonPythonModel:
    """Run every request by itself, at the batch size the client chose."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the network with random weights.

        Nothing is run here: the memory that a batch size needs is taken at its first
        request, so that it shows in the records of that size and above.
        """
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config["parameters"].items()
        }
        self.on_gpu = args["model_instance_kind"] == "GPU"
        gpu_index = args["model_instance_device_id"]
        self.device = torch.device(f"cuda:{gpu_index}" if self.on_gpu else "cpu")
        # CPUs compute half precision many times slower, if at all.
        self.precision = (
            getattr(torch, parameters["precision"]) if self.on_gpu else torch.float32
        )
        self.labels = parameters["output"] == "labels"
        # The GPU computes; this process only launches graphs.
        torch.set_num_threads(1)
        torch.manual_seed(0)
        with torch.device(self.device):
            network = networks.build_network(parameters["architecture"])
        network = network.eval().to(self.precision)
        (input_config,) = config["input"]
        num_dims = len(input_config["dims"])
        self.takes_images = num_dims == len(("channels", "height", "width"))
        self.takes_tokens = num_dims == 1
        if self.takes_images and self.precision is torch.float16:
            network = network.to(memory_format=torch.channels_last)
        self.network = network
        self.captured: dict[int, CapturedNetwork] = {}
        if self.on_gpu:
            torch.cuda.set_device(self.device)
            self.pool = torch.cuda.graph_pool_handle()

    def compute(self, inputs: Tensor) -> Tensor:
        """Return scores per class, or the best class per voxel, on the device."""
        if self.takes_images:
            inputs = inputs.to(self.precision) / _MAX_BYTE
            if self.precision is torch.float16:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
        elif not self.takes_tokens:
            inputs = inputs.to(self.precision)
        outputs = self.network(inputs)
        if self.labels:
            return outputs.argmax(dim=1, keepdim=True).to(torch.uint8)
        return outputs.float()

    @torch.inference_mode()
    def infer(self, inputs: Tensor) -> Tensor:
        """Return the outputs of one request, on the host."""
        if not self.on_gpu:
            return self.compute(inputs)
        batch_size = len(inputs)
        if batch_size not in self.captured:
            self.captured[batch_size] = CapturedNetwork(
                self.compute, inputs, self.device, self.pool
            )
        return self.captured[batch_size].run(inputs)

    def execute(self, requests: list) -> list:
        """Answer each request."""
        responses = []
        for request in requests:
            received = pb_utils.get_input_tensor_by_name(request, "INPUT")
            # By DLPack: the backend's stub mistakes arrays of NumPy 2 for empty ones.
            outputs = self.infer(torch.from_dlpack(received.to_dlpack()))
            if len(requests) > 1:
                outputs = outputs.clone()
            tensor = pb_utils.Tensor.from_dlpack("OUTPUT", outputs)
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
