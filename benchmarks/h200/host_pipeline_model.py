"""A pipeline of known needs: work on one core of the host, then a device that waits.

This file travels into the model repository as ``model.py``. The work is always the
same number of operations; the device is a sleep, which nobody has to share.
"""

from __future__ import annotations

import json
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Sort the same numbers so many times, then wait."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read how much to do."""
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config["parameters"].items()
        }
        self.rounds = int(parameters["rounds"])
        self.device_s = float(parameters["device_ms"]) / 1000
        self.numbers = np.random.default_rng(0).random(4096)

    def execute(self, requests: list) -> list:
        """Answer each request."""
        responses = []
        for request in requests:
            value = pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()
            for _ in range(self.rounds):
                np.sort(self.numbers)
            time.sleep(self.device_s)
            tensor = pb_utils.Tensor("OUTPUT", value.astype(np.float32))
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
