"""What gpupack makes of a model file against the same network in a hand-written model.

Each network is served twice by one embedded Triton: as ``gpupack profile`` sets its
file up, and by the shortest ``model.py`` that a person would write for it. Both are
measured in turns (file, hand, hand, file, …); each load point appends one JSON line.
On a machine that does other work, too, the server's CPU time of an inference tells more
than the rate::

    python -m benchmarks.model_files onnx
    python -m benchmarks.model_files torch --server-python python3 --server-root WHEEL

``onnx`` takes three small networks (classifier, detector, text encoder); ``torch``
makes a TorchScript file and a ``torch.export`` program of torchvision's ResNet-50, and
a checkpoint of a text encoder of transformers where that is there; it runs on the GPU
where there is one. ``--server-root`` is an unpacked nvidia-pytriton wheel, for machines
without a package index.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.profiling import (
    EmbeddedServer,
    InputOptions,
    MeasureOptions,
    ModelFileOptions,
    ModelLoad,
    ServerOptions,
    TritonServer,
    find_runtimes,
    make_request_inputs,
    measure,
    open_device,
)
from gpupack.records.profile import LoadPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RESULTS = Path(__file__).parent / "results" / "model_files.jsonl"
BY_HAND = "_by_hand"
ALLOWED_DIFFERENCE = 0.1

ONNX_BY_HAND = """\
import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

HAS_NUMPY_1 = np.__version__.startswith("1.")

def receive(tensor):
    # The backend's stub takes arrays of NumPy 2 for empty ones.
    return tensor.as_numpy() if HAS_NUMPY_1 else np.from_dlpack(tensor)

def send(name, array):
    make = pb_utils.Tensor if HAS_NUMPY_1 else pb_utils.Tensor.from_dlpack
    return make(name, array)

class TritonPythonModel:
    def initialize(self, args):
        self.session = onnxruntime.InferenceSession(
            {path!r}, providers=["CPUExecutionProvider"]
        )

    def execute(self, requests):
        responses = []
        for request in requests:
            given = {{
                name: receive(pb_utils.get_input_tensor_by_name(request, name))
                for name in {inputs!r}
            }}
            found = self.session.run({outputs!r}, given)
            tensors = [
                send(name, one) for name, one in zip({outputs!r}, found)
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses
"""
TORCH_BY_HAND = """\
import torch
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        {load}

    @torch.inference_mode()
    def execute(self, requests):
        responses = []
        for request in requests:
            given = [
                torch.from_dlpack(
                    pb_utils.get_input_tensor_by_name(request, name).to_dlpack()
                ).to(self.device)
                for name in {inputs!r}
            ]
            found = {call}
            tensor = pb_utils.Tensor.from_dlpack({outputs!r}[0], found.cpu())
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
"""
TORCH_LOADS = {
    "script": "self.module = torch.jit.load({path!r}, map_location=self.device).eval()",
    "program": "self.module = torch.export.load({path!r}).module().to(self.device)",
    "checkpoint": "import transformers; self.module = transformers.BertModel"
    ".from_pretrained({path!r}).to(self.device).eval()",
}
TORCH_CALLS = {
    "script": "self.module(*given)",
    "program": "self.module(*given)",
    "checkpoint": "self.module(*given).last_hidden_state",
}
MAKE_TORCH = """\
import sys, torch
from pathlib import Path
from torchvision import models
folder = Path(sys.argv[1])
torch.manual_seed(0)
network = models.resnet50(weights=None).eval()
example = torch.zeros(4, 3, 224, 224)
torch.jit.trace(network, example).save(str(folder / "script.pt"))
dynamic = ({0: torch.export.Dim("batch", min=1, max=64)},)
program = torch.export.export(network, (example,), dynamic_shapes=dynamic)
torch.export.save(program, folder / "program.pt2")
try:
    import transformers
except ImportError:
    pass
else:
    config = transformers.BertConfig(num_hidden_layers=6)
    transformers.BertModel(config).eval().save_pretrained(folder / "checkpoint")
"""


@dataclass(frozen=True)
class Network:
    """One file, the sizes that it does not say, and its hand-written model."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    code: str
    """With places for the path, and the names of inputs and outputs."""


def onnx_networks(folder: Path) -> list[Network]:
    """Write three small networks."""
    from tests.profiling.model_files import onnx_networks as made

    return [
        Network(made.write_classifier(folder / "classifier.onnx"), {}, ONNX_BY_HAND),
        Network(
            made.write_detector(folder / "detector.onnx"),
            {"detector/image": (3, 64, 64)},
            ONNX_BY_HAND,
        ),
        Network(
            made.write_encoder(folder / "encoder.onnx"),
            {"encoder/input_ids": (64,)},
            ONNX_BY_HAND,
        ),
    ]


def torch_networks(folder: Path, python: Path) -> list[Network]:
    """Have the models' Python write its networks."""
    subprocess.run([str(python), "-c", MAKE_TORCH, str(folder)], check=True)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "script": {"script/x": (3, 224, 224)},
        "checkpoint": {"checkpoint/input_ids": (128,)},
    }
    return [
        Network(
            path,
            shapes.get(path.stem, {}),
            TORCH_BY_HAND.replace("{load}", TORCH_LOADS[path.stem]).replace(
                "{call}", TORCH_CALLS[path.stem]
            ),
        )
        for path in sorted(folder.iterdir())
        if path.stem in TORCH_LOADS
    ]


class Bench:
    """A server on which every network is there twice."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        python = arguments.server_python
        files = folder / "files"
        files.mkdir()
        self.networks = (
            onnx_networks(files)
            if arguments.runtime == "onnx"
            else torch_networks(files, python or _installed_python())
        )
        if arguments.files:
            wanted = arguments.files.split(",")
            self.networks = [one for one in self.networks if one.path.name in wanted]
        self.repository = folder / "models"
        shapes: dict[str, Sequence[int]] = {}
        for network in self.networks:
            shapes |= network.shapes
        self.points = [LoadPoint.parse(one) for one in arguments.points.split(",")]
        # One point each, measured shortly, for the repository that is made on the way.
        made = gpupack.profile(
            [network.path for network in self.networks],
            server=ServerOptions(
                python=python, root=arguments.server_root, gpu=arguments.gpu
            ),
            batch_sizes=sorted({one.batch_size for one in self.points}),
            concurrency=[1],
            inputs=InputOptions(shapes=shapes),
            files=ModelFileOptions(keep_repository=self.repository),
            options=MeasureOptions(min_duration_s=0.1, max_duration_s=0.3),
        )
        for failure in made.failures:
            print(f"{failure.model_name} {failure.load_point}: {failure.message}")
        self.sizes = {
            one.model_name: one.environment.input_shapes for one in made.records
        }
        self.libraries = made.records[0].environment.libraries
        self.embedded = EmbeddedServer(
            self.repository,
            python=python or _installed_python(),
            root=arguments.server_root,
        )

    def write_by_hand(self, server: TritonServer, network: Network) -> None:
        """Write the hand-written model beside the one that was made."""
        name = network.path.stem
        signature = server.signature(name)
        folder = self.repository / f"{name}{BY_HAND}"
        (folder / "1").mkdir(parents=True)
        (folder / "1" / "model.py").write_text(
            network.code.format(
                path=str(network.path),
                inputs=[one.name for one in signature.inputs],
                outputs=[one.name for one in signature.outputs],
            )
        )
        config = (self.repository / name / "config.pbtxt").read_text()
        (folder / "config.pbtxt").write_text(
            config.replace(f'name: "{name}"', f'name: "{name}{BY_HAND}"')
        )

    def rate(
        self, server: TritonServer, name: str, point: LoadPoint
    ) -> tuple[float, float]:
        """Measure one of the two: inferences a second, and CPU microseconds of each."""
        signature = server.signature(name)
        own = self.sizes[name.removesuffix(BY_HAND)]
        inputs = make_request_inputs(
            InputOptions(shapes=own), signature, point.batch_size
        )
        seconds = self.arguments.seconds
        measured = measure(
            server,
            ModelLoad(signature, point, inputs),
            device=open_device(self.arguments.gpu, server_pid=self.embedded.pid),
            options=MeasureOptions(min_duration_s=seconds, max_duration_s=seconds),
            server_pid=self.embedded.pid,
        )
        (load,) = measured.loads
        rate = load.throughput_infer_per_sec
        if rate is None:
            sys.exit(
                f"{name} at {point}: fewer than two requests ended; raise --seconds"
            )
        return rate, 1e4 * (measured.server_cpu_percent or 0.0) / rate

    def compare(self) -> Iterator[dict[str, Any]]:
        """Measure every network both ways, in turns; yield a row per load point."""
        for network in self.networks:
            name = network.path.stem
            if name not in self.sizes:
                continue
            with self.embedded:
                server = TritonServer(self.embedded.url)
                server.load(name)
                self.write_by_hand(server, network)
                server.load(name + BY_HAND)
                for point in self.points:
                    rates: dict[str, list[tuple[float, float]]] = {
                        "file": [],
                        "hand": [],
                    }
                    for at in range(self.arguments.rounds):
                        order = ("file", "hand") if at % 2 == 0 else ("hand", "file")
                        for side in order:
                            own = name + (BY_HAND if side == "hand" else "")
                            rates[side].append(self.rate(server, own, point))
                    yield self._row(network, point, rates)

    def _row(
        self,
        network: Network,
        point: LoadPoint,
        rates: dict[str, list[tuple[float, float]]],
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"file": network.path.name, "load_point": str(point)}
        told = [f"{network.path.name:16} {point!s:>5}"]
        for at, title in enumerate(("infer_per_sec", "cpu_us")):
            ours, theirs = ([one[at] for one in rates[side]] for side in rates)
            pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
            row |= {f"file_{title}": ours, f"hand_{title}": theirs}
            row[f"{title}_ratio"] = statistics.median(pairs)
            told.append(
                f"{title}: file {statistics.median(ours):.1f}, by hand "
                f"{statistics.median(theirs):.1f}, ratio {statistics.median(pairs):.3f}"
                f" ({min(pairs):.3f} to {max(pairs):.3f})"
            )
        print("  ".join(told), flush=True)
        return row | {"libraries": dict(self.libraries)}


def _installed_python() -> Path:
    found = find_runtimes()
    if found is None:
        sys.exit("no runtimes: run `gpupack server install --with onnx`")
    return found.python


def main() -> None:
    """Compare, append the results, and exit 1 if one differs by more than allowed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runtime", choices=["onnx", "torch"])
    parser.add_argument("--points", default="1x1,8x2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--server-python", type=Path)
    parser.add_argument("--server-root", type=Path)
    parser.add_argument("--files", help="names of files, separated by commas; all")
    parser.add_argument("--gpu", help="as gpupack profile takes it: host, 0")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    device = open_device(arguments.gpu)
    environment = benchmark_environment(seed=0, notes=(device.gpu_type.name,))
    told = json.loads(environment.model_dump_json(exclude_defaults=True))
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for row in Bench(arguments, Path(folder)).compare():
            # Each at once: on a lent machine the time may end before the last.
            with arguments.results.open("a") as file:
                file.write(json.dumps(row | {"environment": told}) + "\n")
            worst = max(worst, abs(row["infer_per_sec_ratio"] - 1))
    print(f"largest difference: {100 * worst:.1f} %, at most 10 % wanted")
    sys.exit(worst > ALLOWED_DIFFERENCE)


if __name__ == "__main__":
    main()
