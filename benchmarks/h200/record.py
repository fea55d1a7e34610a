"""Record the built-in profile ``h200``: the zoo, measured by ``gpupack.profile``.

    python -m benchmarks.h200.record OUT --server-python /path/to/python3

The named Python has torch and torchvision. OUT gets one store per group of models
that share their load points, and at the end ``h200.jsonl``. Interrupted, the same
command goes on where it stopped; what is there by then is written all the same.
``--cpu`` tries the recording on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import gpupack
from benchmarks.h200.zoo import ZOO, ZooModel, write_repository
from gpupack.errors import GpupackError
from gpupack.profile_set import ProfileSet
from gpupack.profiling import MeasureOptions
from gpupack.records.environment import Environment
from gpupack.records.profile import FailedLoadPoint, ProfileRecord
from gpupack.store import read_profile_file, write_profiles
from gpupack.units import mib_from_bytes

RECORD_FILE = "h200.jsonl"
COMMAND = "python -m benchmarks.h200.record"
NOTE = "random weights; one model instance; random inputs"


class PrintedProgress:
    """One line per load point, with the time since the start."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()

    def begin(self, num_points: int, num_finished: int) -> None:
        """Say how much there is to do."""
        self.say(f"{num_points} load points, {num_finished} done before")

    def working(self, text: str) -> None:
        """Say nothing: the results tell."""

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """Say what came out."""
        name = f"{outcome.model_name:30} {outcome.load_point!s:>5}"
        if isinstance(outcome, FailedLoadPoint):
            self.say(f"{name} FAILED at {outcome.stage}: {outcome.message[-600:]}")
            return
        used_bytes = outcome.gpu_memory_used_bytes
        cells = {
            "infer/s": outcome.throughput_infer_per_sec,
            "±%": _percent(outcome.throughput_ci_ratio),
            "gpu %": outcome.gpu_utilization_percent,
            "mem %": outcome.memory_utilization_percent,
            "sm %": outcome.sm_utilization_percent,
            "MiB": None if used_bytes is None else mib_from_bytes(used_bytes),
            "client %": outcome.client_cpu_percent,
        }
        text = "  ".join(
            f"{title} {'–' if value is None else f'{value:.1f}'}"
            for title, value in cells.items()
        )
        self.say(f"{name}  {text}  {'' if outcome.is_stable else 'UNSTABLE'}")

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self.started_s:6.1f} s  {text}", flush=True)


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100 * ratio


def group_by_load_points(zoo: tuple[ZooModel, ...]) -> list[list[ZooModel]]:
    """Return models that share their load points together, in the zoo's order."""
    groups: dict[object, list[ZooModel]] = defaultdict(list)
    for model in zoo:
        groups[model.batch_sizes, model.concurrency].append(model)
    return list(groups.values())


def read_library_versions(python: Path) -> dict[str, str]:
    """Return the versions of what the models run on."""
    code = (
        "import torch, torchvision; print(torch.__version__, torchvision.__version__)"
    )
    done = subprocess.run(
        [str(python), "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return dict(zip(("torch", "torchvision"), done.stdout.split(), strict=True))


def join(profile_sets: list[ProfileSet], libraries: dict[str, str]) -> ProfileSet:
    """Return one set with the first baseline, and the models' libraries noted."""

    def noted(environment: Environment) -> Environment:
        return environment.model_copy(
            update={
                "command": COMMAND,
                "libraries": environment.libraries | libraries,
                "notes": (*environment.notes, NOTE),
            }
        )

    return ProfileSet(
        baselines=tuple(one for part in profile_sets for one in part.baselines)[:1],
        records=tuple(
            record.model_copy(update={"environment": noted(record.environment)})
            for part in profile_sets
            for record in part.records
        ),
        failures=tuple(one for part in profile_sets for one in part.failures),
    )


def main() -> int:
    """Record, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--server-python", type=Path, required=True)
    parser.add_argument("--server-root", type=Path, help="an unpacked server")
    parser.add_argument("--models", help="only these, separated by commas")
    parser.add_argument("--max-duration-s", type=float, default=5.0)
    parser.add_argument("--min-duration-s", type=float, default=2.0)
    parser.add_argument("--cpu", action="store_true", help="models on the CPU")
    arguments = parser.parse_args()
    wanted = None if arguments.models is None else arguments.models.split(",")
    zoo = tuple(one for one in ZOO if wanted is None or one.name in wanted)
    options = MeasureOptions(
        min_duration_s=arguments.min_duration_s,
        max_duration_s=arguments.max_duration_s,
        warm_up_s=0.6,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    libraries = read_library_versions(arguments.server_python)
    progress = PrintedProgress()
    stores = []
    status = 0
    with TemporaryDirectory(prefix="gpupack-zoo-") as folder:
        repository = Path(folder)
        write_repository(
            repository, zoo, kind="KIND_CPU" if arguments.cpu else "KIND_GPU"
        )
        for number, group in enumerate(group_by_load_points(zoo)):
            stores.append(arguments.out / f"group{number}.jsonl")
            try:
                gpupack.profile(
                    [model.name for model in group],
                    server=gpupack.ServerOptions(
                        model_repository=repository,
                        gpu="host" if arguments.cpu else None,
                        python=arguments.server_python,
                        root=arguments.server_root,
                    ),
                    batch_sizes=group[0].batch_sizes,
                    concurrency=group[0].concurrency,
                    store=stores[-1],
                    options=options,
                    progress=progress,
                )
            except KeyboardInterrupt:
                progress.say("interrupted")
                status = 130
                break
            except GpupackError as err:
                progress.say(f"group {number}: {err}")
                status = 1
    parts = [read_profile_file(path) for path in stores if path.is_file()]
    profiles = join(parts, libraries)
    write_profiles(profiles, arguments.out / RECORD_FILE)
    progress.say(
        f"{len(profiles.records)} records of {len(profiles.model_names)} models, "
        f"{len(profiles.failures)} failures"
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
