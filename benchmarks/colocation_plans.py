"""Plan the recorded models onto shared GPUs, and run the plans on a real GPU.

    python -m benchmarks.colocation_plans plan FOLDER
    python -m benchmarks.colocation_plans verify FOLDER/NAME.json --repository DIR

The first needs no GPU: ``place()`` reads ``load_example("h200")`` and writes one
placement per sharing mode, load and asked-for retention. The second runs
``gpupack.verify`` on the shared GPUs of one of them, those with the most models first,
and appends each GPU's verdict to NAME.jsonl beside it; interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import gpupack
from gpupack.errors import GpupackError
from gpupack.profiling.measure import MeasureOptions
from gpupack.store import read_placement, write_placement

PLANS = (
    ("time_slicing", 0.9),
    ("mps", 0.9),
    ("time_slicing", 0.8),
    ("mps", 0.8),
    ("time_slicing", 0.6),
    ("mps", 0.6),
)


def plan(folder: Path) -> None:
    """Write the placements, all models at batch size 1 and concurrency 1."""
    profiles = gpupack.load_example("h200")
    folder.mkdir(parents=True, exist_ok=True)
    for sharing, retention in PLANS:
        placement = gpupack.place(
            profiles,
            # Retention decides: these models take a twentieth of the GPU's memory.
            headroom={"memory": 1.0},
            load_point="1x1",
            min_retention=retention,
            sharing=sharing,
            allow_unstable=True,
        )
        write_placement(placement, folder / f"plan_{sharing}_{retention:g}.json")
        print(f"{sharing} {retention:g}: {placement.num_gpus} GPUs, {placement.status}")


def verify(arguments: argparse.Namespace) -> None:
    """Run the shared GPUs of one placement until the time is up."""
    placement = read_placement(arguments.placement)
    deadline = time.monotonic() + arguments.budget_s
    shared = [gpu for gpu in placement.gpus if len(gpu.assignments) > 1]
    shared.sort(key=lambda gpu: -len(gpu.assignments))
    options = MeasureOptions(
        percentile=50.0, min_duration_s=1.5, max_duration_s=3.0, warm_up_s=1.0
    )
    store = arguments.store or arguments.placement.with_suffix(".jsonl")
    for gpu in shared:
        if time.monotonic() + 6.0 * (len(gpu.assignments) + 1) > deadline:
            print(f"out of time before GPU {gpu.gpu_index}", flush=True)
            continue
        started = time.monotonic()
        try:
            found = gpupack.verify(
                placement,
                model_repository=arguments.repository,
                gpu_indices=[gpu.gpu_index],
                store=store,
                options=options,
                server_python=arguments.server_python,
                server_root=arguments.server_root,
            )
        except GpupackError as err:
            print(f"GPU {gpu.gpu_index}: {err}", flush=True)
            continue
        print(f"{found}\n{time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan")
    planning.add_argument("folder", type=Path)
    verifying = commands.add_parser("verify")
    verifying.add_argument("placement", type=Path)
    verifying.add_argument("--repository", type=Path, required=True)
    verifying.add_argument("--store", type=Path)
    verifying.add_argument("--server-root", type=Path)
    verifying.add_argument("--server-python", type=Path)
    verifying.add_argument("--budget-s", type=float, default=200.0)
    arguments = parser.parse_args()
    if arguments.command == "plan":
        plan(arguments.folder)
    else:
        verify(arguments)


if __name__ == "__main__":
    main()
