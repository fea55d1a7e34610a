"""Pipelines nobody fitted to on one GPU: profiled over loads, placed, and judged.

    python -m benchmarks.verify_pipelines run OUT --sharing mps --server-root WHEEL
    python -m benchmarks.verify_pipelines run OUT --cpu
    python -m benchmarks.verify_pipelines report

The pipelines of ``benchmarks.h200.pipelines`` (PyTorch run eagerly, preparation on the
host) are profiled by ``gpupack.profile`` as it does by default, placed on one GPU with
what sharing costs predicted, and verified with the defaults: once in closed loops, once
with demands that arrive as Poisson processes. How many promises are judged, and in how
many seconds, is what is asked; which ones are kept says how good the prediction is.
``run`` writes ``verify_pipelines_SHARING.jsonl`` in OUT, the profile store and what
was verified beside it; ``report`` prints a JSON line over those under
``benchmarks/results``. ``--cpu`` tries it with pipelines of known needs on the host.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpupack
from benchmarks.environment import benchmark_environment
from benchmarks.h200.pipelines import PIPELINES, write_pipelines
from benchmarks.host_cores import write_host_pipelines
from benchmarks.verdict_rows import verdict_rows
from gpupack.profiling import MeasureOptions, ServerOptions
from gpupack.records.running.verification import Outcome

if TYPE_CHECKING:
    from gpupack.placement import Placement
    from gpupack.profile_set import ProfileSet

RESULTS = Path(__file__).parent / "results"
PATTERN = "verify_pipelines_*.jsonl"
DEMAND_SHARE = 0.3
"""Of what each serves alone; nine such pipelines fit on one GPU with it."""


def verify_part(
    placement: Placement, repository: Path, arguments: argparse.Namespace, title: str
) -> dict[str, Any]:
    """Verify one placement; return its verdicts, and how long they took."""
    begin_s = time.monotonic()
    found = gpupack.verify(
        placement,
        model_repository=repository,
        server=server_options(arguments),
        max_seconds=arguments.verify_s,
        store=arguments.out / f"verified_pipelines_{arguments.sharing}.jsonl",
        progress=lambda text: print("  ", text, flush=True),
    )
    seconds = time.monotonic() - begin_s
    print(found, flush=True)
    return {
        "part": title,
        "num_gpus": len(found.gpus),
        "seconds_per_gpu": seconds / len(found.gpus),
        "verdicts": verdict_rows(found),
    }


def server_options(arguments: argparse.Namespace) -> ServerOptions:
    """Return the server that profiling and verifying start."""
    return ServerOptions(
        gpu="host" if arguments.cpu else None,
        python=arguments.server_python,
        root=arguments.server_root,
    )


def profile_pipelines(
    names: list[str], repository: Path, arguments: argparse.Namespace
) -> ProfileSet:
    """Measure each alone at one load point, with as many loads as that takes."""
    return gpupack.profile(
        names,
        model_repository=repository,
        server=server_options(arguments),
        batch_sizes=[1],
        concurrency=[1],
        loads=arguments.loads,
        sharing=None if arguments.cpu else arguments.sharing,
        options=MeasureOptions(max_duration_s=arguments.point_s, percentile=50.0),
        store=arguments.out / f"pipelines_profiled_{arguments.sharing}.jsonl",
    )


def run(arguments: argparse.Namespace) -> None:
    """Profile, place and verify once, and write it down."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"verify_pipelines_{arguments.sharing}.jsonl"
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "models"
        if arguments.cpu:
            names = write_host_pipelines(repository)
        else:
            write_pipelines(repository, PIPELINES)
            names = [one.name for one in PIPELINES]
        profiles = profile_pipelines(names, repository, arguments)
        print(profiles, f"{time.monotonic() - begin_s:.1f} s", flush=True)
        for failure in profiles.failures:
            print(f"   failed: {failure.model_name}: {failure.message}", flush=True)
        (gpu,) = {one.gpu_type for one in profiles.records}
        asked: dict[str, Any] = {
            "gpus": {gpu: 1},
            "load_point": "1x1",
            "allow_unstable": True,
            "sharing": None if arguments.cpu else arguments.sharing,
        }
        rates = {
            one.model_name: one.throughput_infer_per_sec for one in profiles.records
        }
        demand = {
            name: round(DEMAND_SHARE * rate, 2) for name, rate in rates.items() if rate
        }
        loads = {
            one.model_name: [load.throughput_infer_per_sec for load in one.loads]
            for one in profiles.records
        }
        told = benchmark_environment(seed=0).model_dump(mode="json", exclude_none=True)
        told["gpu_type"] = gpu.name
        for title, more in (
            (
                "closed loops",
                {"objective": "max_throughput", "contention": "predicted"},
            ),
            ("Poisson demands", {"demand": demand, "demand_met": "predicted"}),
        ):
            try:
                row = verify_part(
                    gpupack.place(profiles, **asked | more),
                    repository,
                    arguments,
                    title,
                )
            except gpupack.errors.GpupackError as err:
                print(f"{title} failed: {err}", flush=True)
                continue
            row |= {
                "sharing": arguments.sharing,
                "seconds_since_start": time.monotonic() - begin_s,
                "loads_infer_per_sec": loads,
                "environment": told,
            }
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def report(paths: list[Path]) -> None:
    """Print one JSON line over what was recorded."""
    for path in paths:
        for line in path.read_text().splitlines():
            row = json.loads(line)
            outcomes = Counter(one["outcome"] for one in row["verdicts"])
            num = len(row["verdicts"])
            told = {
                "sharing": row["sharing"],
                "part": row["part"],
                "gpu_type": row["environment"]["gpu_type"],
                "num_models": num,
                "judged_share": 1 - outcomes[Outcome.NOT_JUDGED.value] / num,
                "outcomes": dict(outcomes),
                "seconds_per_gpu": round(row["seconds_per_gpu"], 1),
            }
            print(json.dumps(told))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("out", type=Path)
    running.add_argument("--cpu", action="store_true")
    running.add_argument("--sharing", default="time_slicing")
    running.add_argument("--loads", type=int)
    running.add_argument("--point-s", type=float, default=4.0)
    running.add_argument("--verify-s", type=float, default=110.0)
    running.add_argument("--server-root", type=Path)
    running.add_argument("--server-python", type=Path)
    running.set_defaults(do=run)
    judging = commands.add_parser("report")
    judging.add_argument("paths", nargs="*", type=Path)
    judging.set_defaults(
        do=lambda given: report(given.paths or sorted(RESULTS.glob(PATTERN)))
    )
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
