"""A sweep over a Ray cluster: ``python -m benchmarks.profile_ray speed`` or ``kill``.

Both start a real Ray cluster of several nodes on this machine, and measure host models
that sleep, which take no processor from each other. ``speed``: load points per hour
with two workers against one, in turn, each sweep from its first to its last record, the
start of the workers' servers apart. ``kill``: sweeps with two workers, of which one is
killed with -9 at a random moment; every load point must then be in the store once, and
none measured twice. ``--record`` appends to ``benchmarks/results/profile_ray.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.environment import benchmark_environment
from gpupack.profiling import MeasureOptions, profile_on_ray
from gpupack.store import read_profile_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.records.profile import FailedLoadPoint, ProfileRecord

RESULTS = Path(__file__).parent / "results" / "profile_ray.jsonl"
MODEL = """\
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            time.sleep({sleep_s})
            tensor = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", tensor)]))
        return answers
"""
CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 8
input [{{ name: "X" data_type: TYPE_FP32 dims: [ 16 ] }}]
output [{{ name: "Y" data_type: TYPE_FP32 dims: [ 16 ] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
"""


class Watch:
    """Notes when each load point is finished."""

    def __init__(self) -> None:
        self.finished_s: list[float] = []
        self.began_s = 0.0
        self.keys: Counter[tuple[str, str]] = Counter()

    def begin(self, num_points: int, num_finished: int) -> None:
        """Do nothing."""

    def working(self, text: str) -> None:
        """Note when the first measuring begins."""
        self.began_s = self.began_s or time.perf_counter()

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """Note when, and what."""
        self.finished_s.append(time.perf_counter())
        self.keys[outcome.model_name, str(outcome.load_point)] += 1

    @property
    def points_per_hour(self) -> float:
        """Load points an hour, from the first measuring to the last record."""
        return 3600 * len(self.finished_s) / (self.finished_s[-1] - self.began_s)


def write_repository(folder: Path, *, models: int, sleep_s: float) -> Path:
    """Write models that sleep."""
    for number in range(models):
        model = folder / f"sleeper{number}"
        (model / "1").mkdir(parents=True)
        (model / "1" / "model.py").write_text(MODEL.format(sleep_s=sleep_s))
        (model / "config.pbtxt").write_text(CONFIG.format(name=model.name))
    return folder


def start_cluster(num_nodes: int) -> Any:
    """Return a running cluster of so many nodes, each with one processor to give."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    for _ in range(num_nodes - 1):
        cluster.add_node(num_cpus=1)
    return cluster


def sweep(
    address: str, repository: Path, store: Path, given: argparse.Namespace
) -> Watch:
    """Measure every load point, and return when each was finished."""
    watch = Watch()
    profile_on_ray(
        address,
        model_repository=repository,
        gpus="host",
        batch_sizes=(1, 2),
        concurrency=(1, 2),
        store=store,
        options=MeasureOptions(
            min_duration_s=given.seconds, max_duration_s=given.seconds
        ),
        progress=watch,
    )
    return watch


def speed(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return load points per hour with one worker and with two, in turn."""
    repository = write_repository(
        folder / "models", models=given.models, sleep_s=given.sleep_s
    )
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(given.rounds):
        for workers in (1, 2):
            cluster = start_cluster(workers)
            store = folder / f"{number}-{workers}.jsonl"
            rates[workers].append(
                sweep(cluster.address, repository, store, given).points_per_hour
            )
            cluster.shutdown()
            print(f"{workers} workers: {rates[workers][-1]:.0f} load points an hour")
    one, two = (statistics.median(rates[workers]) for workers in (1, 2))
    return {
        "points_per_hour_one": [round(one) for one in rates[1]],
        "points_per_hour_two": [round(one) for one in rates[2]],
        "ratio_of_medians": round(two / one, 3),
    }


def kill(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return in how many sweeps with a killed worker nothing was lost or repeated."""
    repository = write_repository(
        folder / "models", models=given.models, sleep_s=given.sleep_s
    )
    rng = random.Random(given.seed)
    expected = {
        (f"sleeper{number}", f"{size}x{load}")
        for number in range(given.models)
        for size in (1, 2)
        for load in (1, 2)
    }
    whole = 0
    for number in range(given.kills):
        cluster = start_cluster(2)
        killed: list[int] = []
        thread = _kill_one(rng.uniform(0, 1), expected, killed, given)
        store = folder / f"{number}.jsonl"
        watch = sweep(cluster.address, repository, store, given)
        thread.join()
        cluster.shutdown()
        records = read_profile_file(store).records
        kept = Counter((one.model_name, str(one.load_point)) for one in records)
        lines = sum(
            b'"profile_record"' in one for one in store.read_bytes().split(b"\n")
        )
        is_whole = kept == watch.keys == Counter(expected) and lines == len(expected)
        whole += is_whole
        print(
            f"sweep {number}: killed process {killed}, {len(records)} of "
            f"{len(expected)} load points kept, each measured once: {is_whole}"
        )
    return {"kills": given.kills, "nothing_lost_or_repeated": whole}


def _kill_one(
    share: float,
    expected: set[tuple[str, str]],
    killed: list[int],
    given: argparse.Namespace,
) -> threading.Thread:
    """Kill a worker at a share of the time that the sweep takes, about."""

    def wait_and_kill() -> None:
        while not (found := workers()):
            time.sleep(0.05)
        time.sleep(1 + share * (len(expected) / 2) * (given.seconds + 0.7))
        found = workers() or found
        victim = random.Random(share).choice(found)
        killed.append(victim)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            killed[-1] = 0  # the sweep was over

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


def workers() -> list[int]:
    """Return the processes of workers under this one, which have said who they are."""
    return [
        process.pid
        for process in psutil.Process().children(recursive=True)
        if _title(process).startswith("ray::_RemoteWorker")
    ]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "speed": speed,
    "kill": kill,
}


def main() -> None:
    """Run a part from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--sleep-s", type=float, default=0.02)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {"part": given.part} | PARTS[given.part](Path(folder), given)
    found |= {"models": given.models, "seconds_per_point": given.seconds}
    print(json.dumps(found))
    if given.record:
        environment = benchmark_environment(seed=given.seed).model_dump(
            mode="json", exclude_none=True, exclude_defaults=True
        )
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found | {"environment": environment}) + "\n")


if __name__ == "__main__":
    main()
