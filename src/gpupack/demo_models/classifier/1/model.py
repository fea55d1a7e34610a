"""A linear classifier with random weights; on a GPU where torch has one."""

import numpy as np
import triton_python_backend_utils as pb_utils

try:
    import torch
except ImportError:
    torch = None

ON_GPU = torch is not None and torch.cuda.is_available()


class TritonPythonModel:
    """Scores each image for ten classes."""

    def initialize(self, args):
        """Make the weights."""
        rng = np.random.default_rng(0)
        self.weights = rng.standard_normal((3 * 64 * 64, 10), dtype=np.float32)
        if ON_GPU:
            self.weights = torch.tensor(self.weights.tolist(), device="cuda")

    def execute(self, requests):
        """Answer every request."""
        return [self.answer(request) for request in requests]

    def answer(self, request):
        """Return the response to one request."""
        image = pb_utils.get_input_tensor_by_name(request, "image")
        if ON_GPU:
            pixels = torch.utils.dlpack.from_dlpack(image.to_dlpack()).cuda()
            scores = (pixels.reshape(len(pixels), -1) @ self.weights).cpu()
            output = pb_utils.Tensor.from_dlpack("scores", scores)
        else:
            pixels = image.as_numpy()
            scores = pixels.reshape(len(pixels), -1) @ self.weights
            output = pb_utils.Tensor("scores", scores)
        return pb_utils.InferenceResponse([output])
