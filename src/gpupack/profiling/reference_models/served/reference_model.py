"""A reference model behind Triton's Python backend; travels as ``model.py``.

On a GPU a request launches kernels (``gpu_program``) until they took the time that the
configuration says, and waits for them. Without one it computes about as long on the
host, for trying out. Then it rests for a random time, as a model does whose client or
host work takes some: loops in step would never meet.
"""

from __future__ import annotations

import json
import random
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from gpu_program import Launch, ReferenceGpu, c_uint32

NUM_VALUES = 16
"""Of a request and of its answer."""
HAS_NUMPY_1 = np.__version__.startswith("1.")
"""The backend's stub takes arrays of NumPy 2 for empty ones; DLPack carries them."""
_THREADS = 256
_BLOCKS_PER_MULTIPROCESSOR = 8
_COPIED_BYTES = 64 * 1024 * 1024
_ROWS, _WIDTH = 64, 512
_SIDE, _CHANNELS = 64, 32
_FEW_ROUNDS, _MANY_ROUNDS = 500, 4500
_NUM_TIMINGS = 5
_TOLERANCE = 1e-3


class ReferenceModelServer:
    """Answers each request by one run of its program."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the program and find out how often to launch it."""
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config["parameters"].items()
        }
        self.host_s = float(parameters["host_ms"]) / 1e3
        self.random = random.Random(args["model_name"])
        gpu_s = float(parameters["gpu_ms"]) / 1e3
        self.program: Any
        if parameters["device"] == "gpu":
            self.program = GpuProgram(
                parameters["program"],
                # The server was started with the one GPU visible that is measured.
                ReferenceGpu(0),
                gpu_s=gpu_s,
                kernel_s=float(parameters["kernel_us"]) / 1e6,
                fill=float(parameters["fill"]),
            )
        else:
            self.program = HostProgram(parameters["program"], gpu_s)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; one that fails fails alone."""
        responses = []
        for request in requests:
            try:
                response = pb_utils.InferenceResponse([self.answer(request)])
            except Exception as err:
                response = pb_utils.InferenceResponse(
                    error=pb_utils.TritonError(f"{type(err).__name__}: {err}")
                )
            responses.append(response)
        return responses

    def answer(self, request: Any) -> Any:
        """Return the output tensor of one request."""
        received = pb_utils.get_input_tensor_by_name(request, "INPUT")
        values = received.as_numpy() if HAS_NUMPY_1 else np.from_dlpack(received)
        found = self.program.run(np.asarray(values, dtype=np.float32).ravel())
        if self.host_s:
            time.sleep(self.host_s * self.random.uniform(0.5, 1.5))
        whole = np.ascontiguousarray(found[:NUM_VALUES]).reshape(1, NUM_VALUES)
        if HAS_NUMPY_1:
            return pb_utils.Tensor("OUTPUT", whole)
        return pb_utils.Tensor.from_dlpack("OUTPUT", whole)


def network_weights(program: str) -> Any:
    """Return the weights of a network's layers: He's, so that values keep their size.

    Of shape (inputs, outputs) for dense layers, (outputs, inputs, 3, 3) for
    convolutions.
    """
    chance = np.random.default_rng(0)
    if program == "perceptron":
        shape: tuple[int, ...] = (_WIDTH, _WIDTH)
        num_inputs = _WIDTH
    else:
        shape = (_CHANNELS, _CHANNELS, 3, 3)
        num_inputs = 9 * _CHANNELS
    scale = np.sqrt(2 / num_inputs)
    return (scale * chance.standard_normal(shape)).astype(np.float32)


def network_input(program: str) -> Any:
    """Return what a network is given but for a request's own values.

    Of shape (rows, width), or (channels, side + 2, side + 2) with a border of zeros.
    """
    chance = np.random.default_rng(1)
    if program == "perceptron":
        return chance.standard_normal((_ROWS, _WIDTH)).astype(np.float32)
    inner = chance.standard_normal((_CHANNELS, _SIDE, _SIDE)).astype(np.float32)
    return np.pad(inner, ((0, 0), (1, 1), (1, 1)))


def one_layer(program: str, given: Any, weights: Any) -> Any:
    """Return what a network's layer makes of its input, computed on the host."""
    if program == "perceptron":
        # Not a BLAS product, which would take several cores of the host.
        return np.maximum(np.einsum("ri,io->ro", given, weights), 0)
    side = given.shape[1] - 2
    total = np.zeros((len(weights), side, side), dtype=np.float32)
    for down in range(3):
        for right in range(3):
            part = given[:, down : down + side, right : right + side]
            total += np.tensordot(weights[:, :, down, right], part, axes=1)
    return np.pad(np.maximum(total, 0), ((0, 0), (1, 1), (1, 1)))


class HostProgram:
    """The program on the host: plain computing, or a network's layers, for so long."""

    def __init__(self, program: str, busy_s: float) -> None:
        self.program = program
        self.busy_s = busy_s
        if program in ("perceptron", "convolution"):
            self.weights = network_weights(program)
            whole = network_input(program)
            # A part: one whole layer would take longer than a request.
            part = whole[:1] if program == "perceptron" else whole[:, :6, :6]
            self.given = np.ascontiguousarray(part)
        else:
            self.given = np.ones((1, NUM_VALUES), dtype=np.float32)

    def run(self, values: Any) -> Any:
        """Return 16 numbers after computing for so long."""
        end_s = time.thread_time() + self.busy_s
        state = self.given.copy()
        state.reshape(-1)[:NUM_VALUES] = values[:NUM_VALUES]
        while True:
            if self.program in ("perceptron", "convolution"):
                state = one_layer(self.program, state, self.weights)
            if time.thread_time() >= end_s:
                return state.reshape(-1)


class GpuProgram:
    """The program on a GPU: kernels, as many as take so long there.

    Raises:
        DriverRefusalError: The driver refuses something.
        RuntimeError: A network computes something else than the host does.
    """

    def __init__(
        self,
        program: str,
        gpu: ReferenceGpu,
        *,
        gpu_s: float,
        kernel_s: float,
        fill: float,
    ) -> None:
        self.gpu = gpu
        self.program = program
        if program == "compute":
            self.target = gpu.reserve(64)
            kernels = [self.compute_kernel(kernel_s, fill)]
            self.given = None
        elif program == "copy":
            kernels = self.copy_kernels()
        else:
            kernels = self.layers()
        took_s = min(gpu.time_us(kernels) for _ in range(_NUM_TIMINGS)) / 1e6
        self.launches = kernels * max(1, round(gpu_s / max(took_s, 1e-7)))

    def run(self, values: Any) -> Any:
        """Return 16 numbers after all kernels have ended."""
        self.gpu.use()
        if self.given is not None:
            self.gpu.upload(self.given, values[:NUM_VALUES])
        self.gpu.launch(self.launches)
        self.gpu.wait()
        return self.gpu.download(self.target, NUM_VALUES)

    def compute_kernel(self, kernel_s: float, fill: float) -> Launch:
        """Return a kernel that computes for about so long."""
        blocks = self.gpu.num_multiprocessors * _BLOCKS_PER_MULTIPROCESSOR
        kernel = self.gpu.kernel("compute")

        def made(num_rounds: int) -> Launch:
            return Launch(
                kernel,
                (max(1, round(fill * blocks)), 1),
                _THREADS,
                [self.target, c_uint32(num_rounds)],
            )

        few_us, many_us = (
            min(self.gpu.time_us([made(rounds)] * 20) for _ in range(_NUM_TIMINGS)) / 20
            for rounds in (_FEW_ROUNDS, _MANY_ROUNDS)
        )
        round_us = max((many_us - few_us) / (_MANY_ROUNDS - _FEW_ROUNDS), 1e-6)
        start_us = max(0.0, few_us - _FEW_ROUNDS * round_us)
        return made(max(1, round((1e6 * kernel_s - start_us) / round_us)))

    def copy_kernels(self) -> list[Launch]:
        """Return two kernels that copy memory to and fro."""
        self.given = self.gpu.reserve(_COPIED_BYTES)
        self.target = self.gpu.reserve(_COPIED_BYTES)
        blocks = self.gpu.num_multiprocessors * _BLOCKS_PER_MULTIPROCESSOR
        kernel = self.gpu.kernel("copy")
        num_vectors = c_uint32(_COPIED_BYTES // 16)
        return [
            Launch(kernel, (blocks, 1), _THREADS, [source, target, num_vectors])
            for source, target in ((self.given, self.target), (self.target, self.given))
        ]

    def layers(self) -> list[Launch]:
        """Return two layers of the network, to and fro between two buffers."""
        given = network_input(self.program)
        weights = network_weights(self.program)
        self.given, self.target = (self.gpu.reserve(given.nbytes) for _ in range(2))
        kept = self.gpu.reserve(weights.nbytes)
        self.gpu.upload(self.given, given)
        self.gpu.upload(kept, weights)
        if self.program == "perceptron":
            name, grid = "dense", (-(-_WIDTH // _THREADS), _ROWS)
            sizes = [c_uint32(_WIDTH), c_uint32(_WIDTH)]
        else:
            name, grid = "convolution", (-(-(_SIDE**2) // _THREADS), _CHANNELS)
            sizes = [c_uint32(_SIDE), c_uint32(_CHANNELS)]
        kernel = self.gpu.kernel(name)
        made = [
            Launch(kernel, grid, _THREADS, [source, kept, target, *sizes])
            for source, target in ((self.given, self.target), (self.target, self.given))
        ]
        self.gpu.launch(made[:1])
        found = self.gpu.download(self.target, given.size).reshape(given.shape)
        expected = one_layer(self.program, given, weights)
        wrong = float(np.abs(found - expected).max() / np.abs(expected).max())
        if not wrong <= _TOLERANCE:
            raise RuntimeError(
                f"the {self.program} of gpupack's own computes something else on this "
                f"GPU than on the host: the largest difference is {wrong:g} of the "
                "largest value"
            )
        return made


TritonPythonModel = ReferenceModelServer
"""The name that Triton's Python backend looks for."""
