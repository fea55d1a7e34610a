"""Repeated smoothing with random matrices; on a GPU where torch has one."""

import numpy as np
import triton_python_backend_utils as pb_utils

try:
    import torch
except ImportError:
    torch = None

ON_GPU = torch is not None and torch.cuda.is_available()
NUM_LAYERS = 60


class TritonPythonModel:
    """Marks each pixel of an image."""

    def initialize(self, args):
        """Make the weights."""
        rng = np.random.default_rng(0)
        self.weights = rng.standard_normal((128, 128), dtype=np.float32) / 128
        if ON_GPU:
            self.weights = torch.tensor(self.weights.tolist(), device="cuda")

    def execute(self, requests):
        """Answer every request."""
        return [self.answer(request) for request in requests]

    def answer(self, request):
        """Return the response to one request."""
        image = pb_utils.get_input_tensor_by_name(request, "image")
        if ON_GPU:
            mask = torch.utils.dlpack.from_dlpack(image.to_dlpack()).cuda()
            for _ in range(NUM_LAYERS):
                mask = (mask @ self.weights).relu()
            output = pb_utils.Tensor.from_dlpack("mask", mask.cpu())
        else:
            mask = image.as_numpy()
            for _ in range(NUM_LAYERS):
                mask = np.maximum(mask @ self.weights, 0)
            output = pb_utils.Tensor("mask", mask)
        return pb_utils.InferenceResponse([output])
