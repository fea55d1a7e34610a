"""A sweep over two GPUs of one host, and ensembles that share a composing model there.

A sweep of models that keep a GPU busy is measured on the first GPU alone, on two GPUs
at once, and with a stranger's work on the second. Then two ensembles with one core of
weights are profiled, placed by what they share, and verified on a GPU. Each part
appends one JSON line, with the records in short::

    python -m benchmarks.several_gpus --server-python python3 --server-root WHEEL

The models' Python needs PyTorch with CUDA. ``--dry-run`` leaves the sweeps over GPUs
out, so that ``--gpu host`` runs the rest anywhere.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.profiling import MeasureOptions, ServerOptions

if TYPE_CHECKING:
    from gpupack.profile_set import ProfileSet

RESULTS = Path(__file__).parent / "results" / "several_gpus.jsonl"
NUM_MODELS = 4
CORE_MIB = 2048
"""Weights that both ensembles call."""
OWN_MIB = 256

MODEL = """\
import time
import numpy as np
try:
    import torch
    device = "cuda" if torch.cuda.is_available() else "cpu"
except ImportError:
    torch = None
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        if torch is None:
            self.weights = np.ones({mib} * 2**17)
            return
        self.weights = torch.ones({mib} * 2**18, device=device)
        self.square = torch.rand({size}, {size}, device=device)
        self.execute_once()

    def execute_once(self):
        if torch is None:
            time.sleep(0.002)
            return
        found = self.square
        for _ in range({rounds}):
            found = torch.tanh(found @ self.square)
        if device == "cuda":
            torch.cuda.synchronize()

    def execute(self, requests):
        responses = []
        for request in requests:
            self.execute_once()
            # The backend's stub takes arrays of NumPy 2 for empty ones.
            given = pb_utils.get_input_tensor_by_name(request, "X")
            if not np.__version__.startswith("1."):
                found = np.from_dlpack(given) + 1
                tensor = pb_utils.Tensor.from_dlpack("Y", found)
            else:
                tensor = pb_utils.Tensor("Y", given.as_numpy() + 1)
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
"""
TENSORS = """\
max_batch_size: 8
input [{ name: "X" data_type: TYPE_FP32 dims: [ 16 ] }]
output [{ name: "Y" data_type: TYPE_FP32 dims: [ 16 ] }]
"""
STEPS = """\
platform: "ensemble"
ensemble_scheduling {{ step [
  {{ model_name: "{own}" model_version: -1
    input_map {{ key: "X" value: "X" }} output_map {{ key: "Y" value: "mid" }} }},
  {{ model_name: "core" model_version: -1
    input_map {{ key: "X" value: "mid" }} output_map {{ key: "Y" value: "Y" }} }}
] }}
"""
STRANGER = """\
import sys, time, torch
square = torch.rand(8192, 8192, device="cuda")
ends = time.monotonic() + float(sys.argv[1])
print("busy", flush=True)
while time.monotonic() < ends:
    square @ square
    torch.cuda.synchronize()
"""


def write_models(folder: Path) -> list[str]:
    """Write models that keep a GPU busy; return their names."""
    names = [f"net_{number}" for number in range(NUM_MODELS)]
    for number, name in enumerate(names):
        _write(folder, name, MODEL.format(mib=512, size=2048, rounds=20 + 10 * number))
    return names


def write_ensembles(folder: Path) -> list[str]:
    """Write two ensembles that share a core; return their names."""
    _write(folder, "core", MODEL.format(mib=CORE_MIB, size=512, rounds=8))
    names = []
    for side in ("left", "right"):
        own = f"{side}_own"
        _write(folder, own, MODEL.format(mib=OWN_MIB, size=512, rounds=4))
        (folder / side / "1").mkdir(parents=True)
        (folder / side / "config.pbtxt").write_text(TENSORS + STEPS.format(own=own))
        names.append(side)
    return names


def _write(folder: Path, name: str, code: str) -> None:
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "1" / "model.py").write_text(code)
    (folder / name / "config.pbtxt").write_text(
        f'backend: "python"\n{TENSORS}instance_group [{{ kind: KIND_CPU }}]\n'
    )


def in_short(profiles: ProfileSet) -> list[dict[str, Any]]:
    """Return the readings of a sweep that tell its GPUs apart."""
    return [
        {
            "model": one.model_name,
            "load_point": str(one.load_point),
            "gpu_uuid": one.environment.gpu_uuid,
            "infer_per_sec": one.throughput_infer_per_sec,
            "ci_ratio": one.throughput_ci_ratio,
            "gpu_utilization_percent": one.gpu_utilization_percent,
            "gpu_memory_used_bytes": one.gpu_memory_used_bytes,
            "helper_memory": {h.model_name: h.memory_bytes for h in one.helper_memory},
            "warnings": one.warnings,
        }
        for one in profiles.records
    ]


class Bench:
    """Sweeps of one repository."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.server = ServerOptions(
            model_repository=folder,
            python=arguments.server_python,
            root=arguments.server_root,
            gpu=arguments.gpu,
        )
        self.options = MeasureOptions(
            min_duration_s=arguments.seconds, max_duration_s=2 * arguments.seconds
        )

    def sweep(self, names: list[str], **how: Any) -> tuple[ProfileSet, float]:
        """Return what was measured, and the seconds that it took."""
        started = time.perf_counter()
        # Which GPU is either the server's, or those of a sweep over several.
        server = replace(self.server, gpu=None) if "gpus" in how else self.server
        profiles = gpupack.profile(
            names,
            server=server,
            batch_sizes=[1],
            concurrency=[1, 2],
            options=self.options,
            **how,
        )
        seconds = time.perf_counter() - started
        for failure in profiles.failures:
            print(f"   failed: {failure.model_name}: {failure.message}", flush=True)
        return profiles, seconds

    def over_gpus(self, names: list[str], title: str, gpus: list[int]) -> None:
        """Measure a sweep on some GPUs and keep it."""
        heard = _Heard()
        logger = logging.getLogger("gpupack")
        logger.addHandler(heard)
        logger.setLevel(logging.INFO)
        try:
            profiles, seconds = self.sweep(names, gpus=gpus)
        finally:
            logger.removeHandler(heard)
        rates = {f"{r.model_name} {r.load_point}": r for r in profiles.records}
        told = [text for text in heard.texts if "control" in text or "disturb" in text]
        print(f"== {title}: {len(profiles.records)} points in {seconds:.1f} s")
        for name, one in rates.items():
            print(f"   {name}: {one.throughput_infer_per_sec:.1f} infer/sec")
        print("  ", *dict.fromkeys(told), sep="\n   ", flush=True)
        self.keep(
            part=title,
            gpus=gpus,
            seconds=seconds,
            told=told,
            records=in_short(profiles),
            failures=[one.message for one in profiles.failures],
        )

    def shared_core(self, names: list[str]) -> None:
        """Profile ensembles, place them by what they share, and verify that."""
        profiles, seconds = self.sweep(names, sharing=self.arguments.sharing)
        placement = gpupack.place(profiles, load_point="1x1", allow_unstable=True)
        gpu = placement.gpus[0]
        verification = gpupack.verify(
            placement, server=self.server, options=self.options
        )
        verified = verification.gpus[0]
        print(placement)
        print(f"== ensembles: {seconds:.1f} s; {gpu.shared_models}")
        for one in profiles.records:
            parts = {h.model_name: h.memory_bytes / 2**20 for h in one.helper_memory}
            print(f"   {one.model_name} {one.load_point}: {parts} MiB")
        mib = [
            None if size is None else round(size / 2**20)
            for size in (
                verified.memory_predicted_bytes,
                verified.memory_measured_bytes,
            )
        ]
        print(f"   memory predicted and measured, MiB: {mib}; {verified.broken}")
        self.keep(
            part="ensembles that share a core",
            seconds=seconds,
            records=in_short(profiles),
            num_gpus=placement.num_gpus,
            sum_alone_bytes=sum(one.memory_bytes for one in gpu.assignments),
            saved_bytes=sum(one.saved_bytes for one in gpu.shared_models),
            memory_predicted_bytes=verified.memory_predicted_bytes,
            memory_measured_bytes=verified.memory_measured_bytes,
            alone_infer_per_sec={
                one.model_name: one.alone_infer_per_sec for one in verified.models
            },
            together_infer_per_sec={
                one.model_name: one.together_infer_per_sec for one in verified.models
            },
            broken=verified.broken,
        )

    def keep(self, **row: Any) -> None:
        """Append a line to the results."""
        told = benchmark_environment(seed=0).model_dump_json(exclude_defaults=True)
        with self.arguments.results.open("a") as file:
            file.write(json.dumps(row | {"environment": json.loads(told)}) + "\n")


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.texts.append(record.getMessage())


def main() -> None:
    """Measure all parts; a part that fails is told, and the next one follows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--server-python", type=Path)
    parser.add_argument("--server-root", type=Path)
    parser.add_argument("--gpu", help="of the ensembles, as gpupack profile takes it")
    parser.add_argument("--sharing", help="of the ensembles")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        networks, ensembles = Path(folder) / "networks", Path(folder) / "ensembles"
        names, sides = write_models(networks), write_ensembles(ensembles)
        parts: list[Any] = []
        if not arguments.dry_run:
            bench = Bench(arguments, networks)
            parts += [
                lambda: bench.over_gpus(names, "the first GPU alone", [0]),
                lambda: bench.over_gpus(names, "two GPUs at once", [0, 1]),
                lambda: _beside_a_stranger(bench, names),
            ]
        parts.append(lambda: Bench(arguments, ensembles).shared_core(sides))
        for part in parts:
            try:
                part()
            except gpupack.errors.GpupackError as err:
                print(f"failed: {err}", flush=True)


def _beside_a_stranger(bench: Bench, names: list[str]) -> None:
    """Sweep over two GPUs while another process keeps the second one busy."""
    python = str(bench.arguments.server_python or sys.executable)
    environment = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    stranger = subprocess.Popen(
        [python, "-c", STRANGER, "300"],
        stdout=subprocess.PIPE,
        env=os.environ | environment,
    )
    try:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        bench.over_gpus(names, "a stranger on the second", [0, 1])
    finally:
        stranger.kill()
        stranger.wait()


if __name__ == "__main__":
    main()
