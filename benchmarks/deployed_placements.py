"""Emitted Triton repositories and command lines, started for real, asked and verified.

Twenty random placements and the built-in examples, on the host in the place of a GPU
(KIND_CPU), in the embedded Triton::

    python -m benchmarks.deployed_placements            # appends to the results
    python -m benchmarks.deployed_placements --report

For each: ``gpupack deploy --to triton``, its programs are run, ``gpupack status`` asks
every server, and ``gpupack verify --deployment`` measures every model where it runs.
The models answer at once; what is promised of each is one inference a second, so that
what is judged is whether everything is served, not how fast this machine is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.deploying import DeployOptions, check_status, deploy
from gpupack.profiling import MeasureOptions, install_server
from tests.deploying.emitted_servers import free_ports, running, tritonserver_on_path
from tests.deploying.random_placements import HOST, random_placement, write_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RESULTS = Path(__file__).parent / "results" / "deployed_placements.jsonl"
NUM_RANDOM = 20
OPTIONS = MeasureOptions(max_duration_s=0.5, min_duration_s=0.2)


def main() -> None:
    """Run them all, or print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true")
    if parser.parse_args().report:
        report()
        return
    install_server()
    with tritonserver_on_path() as environment:
        for name, placement in placements():
            line = tried(name, placement, environment)
            print(line)
            with RESULTS.open("a") as file:
                file.write(json.dumps(line) + "\n")


def placements() -> Iterator[tuple[str, gpupack.Placement]]:
    """Yield every placement by name."""
    for seed in range(NUM_RANDOM):
        yield f"random {seed}", random_placement(seed, most_gpus=3, repeated=0.3)
    medical = gpupack.load_example("medical")
    yield "medical, min_gpus", on_host(gpupack.place(medical, gpus="16GB"))
    yield (
        "medical, max_throughput",
        on_host(gpupack.place(medical, "max_throughput", gpus="16GB")),
    )
    yield "h200", on_host(gpupack.place(gpupack.load_example("h200")))


def on_host(placement: gpupack.Placement) -> gpupack.Placement:
    """Return a placement as one of hosts, with a promise that any host can keep."""
    gpus = tuple(
        gpu.model_copy(
            update={
                "gpu_type": HOST,
                "assignments": tuple(
                    one.model_copy(
                        update={
                            "throughput_infer_per_sec": 1.0,
                            "predicted_infer_per_sec": None,
                            "served_infer_per_sec": None,
                            "memory_bytes": 0,
                        }
                    )
                    for one in gpu.assignments
                ),
            }
        )
        for gpu in placement.gpus
    )
    return placement.model_copy(update={"gpus": gpus, "sharing_mode": None})


def tried(
    name: str, placement: gpupack.Placement, environment: Mapping[str, str]
) -> dict[str, object]:
    """Deploy one placement, and return what became of it."""
    models = sorted({model for gpu in placement.gpus for model in gpu.models})
    folder = Path(tempfile.mkdtemp(prefix="gpupack-deployed-"))
    try:
        repository = write_models(folder / "models", tuple(models))
        deploy(
            placement,
            "triton",
            model_repository=repository,
            output=folder / "out",
            options=DeployOptions(first_port=free_ports(3 * len(placement.gpus))),
        )
        begin_s = time.monotonic()
        with running(folder / "out", dict(environment)):
            start_s = time.monotonic() - begin_s
            status = check_status(folder / "out")
            verification = gpupack.verify(
                placement, deployment=folder / "out", options=OPTIONS
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "placement": name,
        "num_gpus": len(placement.gpus),
        "num_instances": sum(len(gpu.assignments) for gpu in placement.gpus),
        "differences": [str(one) for one in status.differences],
        "is_kept": verification.is_kept,
        "broken": [] if verification.is_kept else str(verification).splitlines(),
        "start_s": round(start_s, 2),
        "environment": benchmark_environment(seed=0).model_dump(mode="json"),
    }


def report() -> None:
    """Print how many were equal and kept."""
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    last = {line["placement"]: line for line in lines}.values()
    equal = sum(not line["differences"] for line in last)
    kept = sum(line["is_kept"] for line in last)
    print(f"{equal} of {len(last)} equal to the plan, {kept} kept every promise")


if __name__ == "__main__":
    main()
