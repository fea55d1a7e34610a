"""Emitted programs on a real GPU: do MPS shares, memory limits and devices take?

Two models of matrix products, deployed to one GPU under MPS with unequal shares, under
MPS with none, and under time slicing; the emitted program is run with the embedded
Triton's binary, ``gpupack status`` asks it, and ``gpupack verify --deployment``
measures each model alone and both together::

    python -m benchmarks.deployed_on_gpu [--root TREE] [--results FILE]

Needs an NVIDIA GPU, ``nvidia-cuda-mps-control``, and a ``python3`` with torch. TREE is
an unpacked ``nvidia-pytriton`` wheel; by default the installed server. What is promised
is one inference a second, and as much memory as was read in a first run: whether
everything is served and within its limits is judged, not how fast.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import gpupack
import tests.deploying.emitted_servers as emitted
from benchmarks.environment import benchmark_environment
from gpupack.deploying import DeployOptions, check_status, deploy
from gpupack.profile_set import ProfileSet
from gpupack.profiling import MeasureOptions, open_device
from gpupack.profiling.embedded.installation import installation_at
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.profile import LoadPoint
from tests.factories import MIB, make_baseline, make_record

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS = Path(__file__).parent / "results" / "deployed_on_gpu.jsonl"
NAMES = ("alpha", "beta")
MODEL_MIB, SERVER_MIB = 1400, 600
OPTIONS = MeasureOptions(max_duration_s=4.0)
CASES: tuple[tuple[SharingMode, dict[str, float]], ...] = (
    (SharingMode.MPS, {"alpha": 70, "beta": 30}),
    (SharingMode.MPS, {}),
    (SharingMode.TIME_SLICING, {}),
)
CODE = """\
import torch
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        device = torch.device("cuda", int(args["model_instance_device_id"]))
        self.x = torch.randn(4096, 4096, device=device, dtype=torch.bfloat16)

    def execute(self, requests):
        responses = []
        for _ in requests:
            y = self.x
            for _ in range(8):
                y = torch.tanh(y @ self.x)
            torch.cuda.synchronize()
            answer = torch.utils.dlpack.to_dlpack(torch.zeros(1, 16))
            tensor = pb_utils.Tensor.from_dlpack("Y", answer)
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
"""
CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 8
input [{{ name: "X" data_type: TYPE_FP32 dims: [ 16 ] }}]
output [{{ name: "Y" data_type: TYPE_FP32 dims: [ 16 ] }}]
"""


def main() -> None:
    """Try every case and append its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--commit", help="Of a copy that git does not know.")
    given = parser.parse_args()
    if given.root is not None:
        installation = installation_at(given.root, python=Path(sys.executable))
        emitted.find_installation = lambda: installation
    with (
        tempfile.TemporaryDirectory(prefix="gpupack-deployed-") as folder,
        emitted.tritonserver_on_path() as environment,
    ):
        models = write_models(Path(folder) / "models")
        for number, (mode, shares) in enumerate(CASES):
            out = Path(folder) / f"out-{number}"
            line = tried(models, out, mode, shares, environment)
            if given.commit is not None:
                line["commit"] = given.commit
            print({key: line[key] for key in line if key != "environment"}, flush=True)
            with given.results.open("a") as file:
                file.write(json.dumps(line) + "\n")


def write_models(repository: Path) -> Path:
    """Write both models; return the repository."""
    for name in NAMES:
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "1" / "model.py").write_text(CODE)
        (repository / name / "config.pbtxt").write_text(CONFIG.format(name=name))
    return repository


def placement_of(mode: SharingMode) -> gpupack.Placement:
    """Return both models on the GPU of this machine."""
    gpu_type = open_device(0).gpu_type
    records = tuple(
        make_record(
            name,
            gpu_type=gpu_type,
            load_point=LoadPoint(batch_size=1, concurrency=1),
            throughput_infer_per_sec=1.0,
            gpu_memory_used_bytes=(MODEL_MIB + SERVER_MIB) * MIB,
            environment=Environment(
                source="a promise of the benchmark", backend="python", sharing_mode=mode
            ),
        )
        for name in NAMES
    )
    baseline = make_baseline(SERVER_MIB, gpu_type)
    return gpupack.place(
        ProfileSet(records=records, baselines=(baseline,)), sharing=mode
    )


def tried(
    models: Path,
    out: Path,
    mode: SharingMode,
    shares: dict[str, float],
    environment: Mapping[str, str],
) -> dict[str, object]:
    """Deploy, run, ask and measure one case."""
    placement = placement_of(mode)
    chosen = DeployOptions(
        first_port=emitted.free_ports(3 * len(NAMES)), mps_shares_percent=shares
    )
    deploy(placement, "triton", model_repository=models, output=out, options=chosen)
    with emitted.running(out, dict(environment)) as urls:
        status = check_status(out)
        result = gpupack.verify(placement, deployment=out, options=OPTIONS)
        variables = stub_variables()
    return {
        "sharing": mode.value,
        "shares_percent": shares,
        "num_servers": len(urls),
        "differences": [str(one) for one in status.differences],
        "is_kept": result.is_kept,
        "infer_per_sec": [
            {model.model_name: model.throughput_infer_per_sec for model in one.models}
            for gpu in result.gpus
            for one in gpu.measurements
        ],
        "gpu_memory_used_mib": [
            round((one.gpu_memory_used_bytes or 0) / MIB)
            for gpu in result.gpus
            for one in gpu.measurements
        ],
        "variables": variables,
        "environment": benchmark_environment(seed=0).model_dump(mode="json")
        | open_device(0).environment_fields(),
    }


def stub_variables() -> dict[str, dict[str, str]]:
    """Return by model the MPS variables that its process runs with."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().decode(errors="replace")
            text = (path / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "triton_python_backend_stub" in command:
            pairs = (one.partition("=") for one in text.split("\0"))
            found[Path(command.split("\0")[1]).parts[-3]] = {
                name: value
                for name, _, value in pairs
                if (name.startswith("CUDA_MPS_") and not name.endswith("DIRECTORY"))
                or name == "CUDA_VISIBLE_DEVICES"
            }
    return found


if __name__ == "__main__":
    main()
