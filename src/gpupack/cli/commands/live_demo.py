"""The live part of ``gpupack demo``: shipped models on a real Triton, then placed."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

import typer

from gpupack.cli.progress import progress_bar
from gpupack.errors import DeviceError, ServerUnavailableError

_HAS_TORCH_GPU = """\
import numpy, sys, torch
sys.exit(not torch.cuda.is_available())
"""
_MAX_SECONDS = 1.5
_PRECISION = 0.1
_TITLE = "Live: three shipped models on a real Triton, measured now"


def run_live_demo(output: Path, *, quiet: bool = False) -> Path | None:
    """Profile the shipped models and place them; None where no server can be had.

    On the GPU if there is one and a Python here has torch for it, else on the host.
    """
    from gpupack.planning import place
    from gpupack.profiling import MeasureOptions, ServerOptions, profile
    from gpupack.store import write_placement, write_profiles

    typer.echo(f"\n{_TITLE}\n{'=' * len(_TITLE)}")
    python = _python_for_gpu()
    try:
        with (
            as_file(files("gpupack") / "demo_models") as repository,
            progress_bar(quiet=quiet) as bar,
        ):
            profiles = profile(
                server=ServerOptions(
                    model_repository=repository,
                    gpu=None if python is not None else "host",
                    python=python,
                    # One core per model instance, or the models would share them all.
                    environment={"OPENBLAS_NUM_THREADS": "1"},
                ),
                batch_sizes=(1, 2),
                concurrency=(1, 4),
                options=MeasureOptions(
                    half_width_ratio=_PRECISION,
                    min_duration_s=0.4,
                    max_duration_s=_MAX_SECONDS,
                    warm_up_s=0.1,
                ),
                command="gpupack demo",
                progress=bar,
                install_progress=bar.install if bar is not None else None,
            )
    except ServerUnavailableError as err:
        typer.echo(f"left out: {err}")
        return None
    typer.echo(str(profiles))
    settled = {record.model_name for record in profiles.records if record.is_stable}
    needs_unsettled = any(one.model_name not in settled for one in profiles.records)
    num_unsettled = sum(not record.is_stable for record in profiles.records)
    if num_unsettled:
        typer.echo(
            f"{num_unsettled} of {len(profiles.records)} load points did not settle "
            f"within the {_MAX_SECONDS:g} s that this demo gives each (`gpupack "
            "profile` gives 10 s), and are "
            + ("used all the same." if needs_unsettled else "left out below.")
        )
    write_profiles(profiles, output / "live_profiles.jsonl")
    placement = place(
        profiles,
        "max_throughput",
        # What a host has too: it knows no memory utilization.
        headroom={"memory": 1.0, "gpu_utilization": 1.0},
        allow_unstable=needs_unsettled,
    )
    kind = "GPUs" if python is not None else "hosts like this one"
    typer.echo(
        f"\nEach model at its best load point, on the fewest {kind}\n{placement}"
    )
    path = output / "live_placement.json"
    write_placement(placement, path)
    return path


def _python_for_gpu() -> Path | None:
    """Return a Python whose torch sees a GPU that NVML can read, None without one."""
    from gpupack.profiling import open_device
    from gpupack.records.gpu import DeviceKind

    try:
        if open_device().gpu_type.kind is not DeviceKind.GPU:
            return None
    except DeviceError:
        return None
    for candidate in (sys.executable, "python3"):
        try:
            done = subprocess.run(
                [candidate, "-I", "-c", _HAS_TORCH_GPU],
                capture_output=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return Path(candidate)
    return None
