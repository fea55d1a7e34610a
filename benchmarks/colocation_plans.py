"""Profile models, plan them onto shared GPUs, and run the plans, on one GPU.

    python -m benchmarks.colocation_plans profile FILE --repository DIR
    python -m benchmarks.colocation_plans plan FOLDER --profiles FILE
    python -m benchmarks.colocation_plans verify FOLDER/NAME.json --repository DIR

The first is ``gpupack.profile`` under MPS, one request at a time. The second needs no
GPU: one placement per sharing mode and asked-for retention. The third runs
``gpupack.verify`` on the shared GPUs of one of them and appends each GPU's verdict to
NAME.jsonl beside it; interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import gpupack
from gpupack.errors import GpupackError
from gpupack.profiling import MeasureOptions
from gpupack.store import read_placement, read_profile_file, write_placement

PLANS = (
    ("time_slicing", 0.9),
    ("mps", 0.9),
    ("time_slicing", 0.8),
    ("mps", 0.8),
    ("time_slicing", 0.6),
    ("mps", 0.6),
)


def _server(arguments: argparse.Namespace) -> gpupack.ServerOptions:
    """Return the server that every command measures on."""
    return gpupack.ServerOptions(
        model_repository=arguments.repository,
        python=arguments.server_python,
        root=arguments.server_root,
    )


def profile(arguments: argparse.Namespace) -> None:
    """Measure every model of the repository at batch size 1 and concurrency 1."""
    started = time.monotonic()
    profiles = gpupack.profile(
        server=_server(arguments),
        batch_sizes=[1],
        concurrency=[1],
        sharing="mps",
        store=arguments.profiles,
        options=MeasureOptions(min_duration_s=2.0, max_duration_s=4.0, warm_up_s=0.6),
        command="python -m benchmarks.colocation_plans profile",
    )
    print(f"{profiles}\n{time.monotonic() - started:.0f} s", flush=True)


def plan(arguments: argparse.Namespace) -> None:
    """Write the placements."""
    profiles = read_profile_file(arguments.profiles)
    arguments.folder.mkdir(parents=True, exist_ok=True)
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
        path = arguments.folder / f"plan_{sharing}_{retention:g}.json"
        write_placement(placement, path)
        shared = [gpu.models for gpu in placement.gpus if len(gpu.assignments) > 1]
        print(f"{sharing} {retention:g}: {placement.num_gpus} GPUs, {placement.status}")
        print(*(f"    {', '.join(names)}" for names in shared), sep="\n")


def verify(arguments: argparse.Namespace) -> None:
    """Run the shared GPUs of one placement."""
    placement = read_placement(arguments.placement)
    shared = [gpu.gpu_index for gpu in placement.gpus if len(gpu.assignments) > 1]
    options = MeasureOptions(
        percentile=50.0, min_duration_s=1.5, max_duration_s=3.0, warm_up_s=0.6
    )
    started = time.monotonic()
    try:
        found = gpupack.verify(
            placement,
            server=_server(arguments),
            gpu_indices=shared,
            store=arguments.placement.with_suffix(".jsonl"),
            options=options,
            progress=lambda text: print(
                f"{time.monotonic() - started:.0f} s: {text}", flush=True
            ),
        )
    except GpupackError as err:
        print(err, flush=True)
        return
    print(f"{found}\n{time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    profiling = commands.add_parser("profile")
    profiling.add_argument("profiles", type=Path)
    planning = commands.add_parser("plan")
    planning.add_argument("folder", type=Path)
    planning.add_argument("--profiles", type=Path, required=True)
    verifying = commands.add_parser("verify")
    verifying.add_argument("placement", type=Path)
    for one in (profiling, verifying):
        one.add_argument("--repository", type=Path, required=True)
        one.add_argument("--server-root", type=Path)
        one.add_argument("--server-python", type=Path)
    arguments = parser.parse_args()
    {"profile": profile, "plan": plan, "verify": verify}[arguments.command](arguments)


if __name__ == "__main__":
    main()
