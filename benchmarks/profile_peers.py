"""gpupack's profiling against perf_analyzer and Model Analyzer, on one real Triton.

Each part starts the embedded Triton on models written here, and appends one JSON line::

    PEERS="--perf-analyzer FILE --libraries DIR --model-analyzer FILE"
    python -m benchmarks.profile_peers sweep $PEERS
    python -m benchmarks.profile_peers reference   # three times, for its spread
    python -m benchmarks.profile_peers ceiling $PEERS
    python -m benchmarks.profile_peers repeats --model instant --point 1x16
    python -m benchmarks.profile_peers kill
    python -m benchmarks.profile_peers report

The peers: perf_analyzer 2.51 is in the ``tritonclient==2.51.0`` *manylinux1* wheel,
under ``data/bin``; it wants ``libb64.so.0d`` and ``libcudart.so.12`` in
``--libraries``, which the embedded server's ``nvidia_pytriton.libs`` has under longer
names. Model Analyzer 1.58 is ``triton-model-analyzer`` on PyPI, in an environment of
its own.

What is compared: ``sweep``, the wall time for six load points (batch 1, 2 ×
concurrency 1, 2, 4) of a model that sleeps for 5 ms, from the start of the command to
its end, on a server that runs; perf_analyzer has the model loaded for it and takes
windows of 50 requests, as Model Analyzer has it do. gpupack sweeps before, between and
after them. ``reference``, the same points for 30 s each. ``ceiling``, requests per
second of a model that returns at once, at concurrency 16, in rounds; perf_analyzer
reports the mean of three windows of a second, however much they differ (``-s 999``),
because it would drop most rounds on a machine as noisy as the one used. ``repeats``, 20
measurements of one load point with the defaults, between two runs of 30 s that together
are the 60 s reference; 10 of a model that never settles and is measured up to the cap.
``kill``, twenty sweeps of twelve points, each killed at a random moment and then run
again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environment import benchmark_environment
from gpupack.profiling import (
    EmbeddedServer,
    HostDevice,
    InputOptions,
    MeasuredLoad,
    MeasureOptions,
    ModelLoad,
    TritonServer,
    make_request_inputs,
    measure,
)
from gpupack.records.profile import LoadPoint
from gpupack.store import read_profile_file

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results" / "profile_peers.jsonl"
BATCH_SIZES, CONCURRENCIES = (1, 2), (1, 2, 4)
POINTS = [f"{batch}x{one}" for batch in BATCH_SIZES for one in CONCURRENCIES]
SLEEPER, INSTANT = "five_ms", "instant"
NUM_REPEATS = {SLEEPER: 20, INSTANT: 10}
NUM_KILLS, NUM_CEILING_ROUNDS = 20, 9
REFERENCE_S = 30.0

CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 8
input [{{ name: "X" data_type: TYPE_FP32 dims: [ 16 ] }}]
output [{{ name: "Y" data_type: TYPE_FP32 dims: [ 16 ] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
"""
MODEL = """\
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            {work}
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", x)]))
        return responses
"""


def write_models(folder: Path) -> None:
    """Write the two models that everything is measured on."""
    for name, work in ((SLEEPER, "time.sleep(0.005)"), (INSTANT, "pass")):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(CONFIG.format(name=name))
        (folder / name / "1" / "model.py").write_text(MODEL.format(work=work))


class Bench:
    """A running server with the two models, and the peers that drive it."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.repository = folder / "models"
        write_models(self.repository)
        self.embedded = EmbeddedServer(self.repository)

    def measure(
        self, model_name: str, point: str, options: MeasureOptions | None = None
    ) -> MeasuredLoad:
        """Measure one load point of a loaded model with gpupack's own client."""
        server = TritonServer(self.embedded.url)
        signature = server.signature(model_name)
        load_point = LoadPoint.parse(point)
        inputs = make_request_inputs(InputOptions(), signature, load_point.batch_size)
        device = HostDevice(self.embedded.pid)
        load = ModelLoad(signature, load_point, inputs)
        return measure(server, load, device=device, options=options).loads[0]

    def perf_analyzer(self, *options: str) -> dict[str, float]:
        """Run perf_analyzer and return infer/s by load point; empty on failure."""
        command = [str(self.arguments.perf_analyzer), *options]
        done = subprocess.run(
            command, env=self._peer_environment(), capture_output=True, text=True
        )
        batch = options[options.index("-b") + 1]
        found = re.findall(
            r"^Concurrency: (\d+), throughput: ([\d.]+)", done.stdout, re.MULTILINE
        )
        return {f"{batch}x{one}": float(rate) for one, rate in found}

    def model_analyzer(self) -> float:
        """Run Model Analyzer in remote mode over the six points; return seconds."""
        config = {
            "model_repository": str(self.repository),
            "profile_models": {
                SLEEPER: {
                    "parameters": {
                        "batch_sizes": list(BATCH_SIZES),
                        "concurrency": list(CONCURRENCIES),
                    }
                }
            },
            "triton_launch_mode": "remote",
            "triton_http_endpoint": self._address(self.embedded.url),
            "triton_grpc_endpoint": self._address(self.embedded.grpc_url),
            "triton_metrics_url": self.embedded.metrics_url,
            "run_config_search_disable": True,
            "override_output_model_repository": True,
            "output_model_repository_path": str(self.folder / "output"),
            "checkpoint_directory": str(self.folder / "checkpoints"),
            "export_path": str(self.folder / "export"),
        }
        path = self.folder / "analyzer.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        begin = time.monotonic()
        done = subprocess.run(
            [str(self.arguments.model_analyzer), "profile", "-f", str(path)],
            env=self._peer_environment(),
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            sys.exit(
                f"Model Analyzer failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return seconds

    def gpupack_sweep(self) -> tuple[float, dict[str, dict[str, Any]]]:
        """Run ``gpupack profile`` over the six points; return seconds and records."""
        store = self.folder / f"sweep-{time.monotonic_ns()}.jsonl"
        begin = time.monotonic()
        subprocess.run(
            gpupack_command(
                store,
                f"--url={self.embedded.url}",
                f"--models={SLEEPER}",
                *points_of(BATCH_SIZES, CONCURRENCIES),
            ),
            check=True,
            stderr=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - begin
        records = {
            str(record.load_point): {
                "throughput_infer_per_sec": record.throughput_infer_per_sec,
                "ci_ratio": record.throughput_ci_ratio,
                "is_stable": record.is_stable,
            }
            for record in read_profile_file(store).records
        }
        return seconds, records

    def address(self) -> str:
        """Return where HTTP is answered, as perf_analyzer takes it."""
        return self._address(self.embedded.url)

    def grpc_address(self) -> str:
        """Return where gRPC is answered, as perf_analyzer takes it."""
        return self._address(self.embedded.grpc_url)

    @staticmethod
    def _address(url: str) -> str:
        return url.partition("://")[2]

    def _peer_environment(self) -> dict[str, str]:
        tools = Path(self.arguments.perf_analyzer).resolve().parent
        return os.environ | {
            "LD_LIBRARY_PATH": str(Path(self.arguments.libraries).resolve()),
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        }


def points_of(batch_sizes: Sequence[int], concurrencies: Sequence[int]) -> list[str]:
    """Return the options that ask for these load points."""
    return [
        f"--batch={','.join(map(str, batch_sizes))}",
        f"--concurrency={','.join(map(str, concurrencies))}",
    ]


def gpupack_command(store: Path, *options: str) -> list[str]:
    """Return the command line of a sweep."""
    command = [sys.executable, "-m", "gpupack", "profile", "-q", f"--store={store}"]
    return [*command, *options]


def run_sweep(bench: Bench) -> dict[str, Any]:
    """Six load points: perf_analyzer, Model Analyzer, gpupack, by the clock."""
    control = TritonServer(bench.embedded.url)
    own = [bench.gpupack_sweep()]
    control.check_ready(timeout_s=10)
    control.load(SLEEPER)
    begin = time.monotonic()
    rates: dict[str, float] = {}
    windows = ["--measurement-mode", "count_windows", "--measurement-request-count"]
    for batch in BATCH_SIZES:
        # 1, 2 and 4 are no arithmetic series: two commands are the fewest.
        for span in ("1:1", "2:4:2"):
            rates |= bench.perf_analyzer(
                *("-m", SLEEPER, "-b", str(batch), "-u", bench.address()),
                *("--concurrency-range", span, *windows, "50"),
            )
    analyzer_seconds = time.monotonic() - begin
    control.unload(SLEEPER)
    own.append(bench.gpupack_sweep())
    model_analyzer_seconds = bench.model_analyzer()
    for model in control.repository():
        if model.is_ready:  # Model Analyzer leaves its last one
            control.unload(model.name)
    own.append(bench.gpupack_sweep())
    return {
        "gpupack_s": statistics.median(seconds for seconds, _ in own),
        "gpupack_runs_s": [seconds for seconds, _ in own],
        "perf_analyzer_s": analyzer_seconds,
        "model_analyzer_s": model_analyzer_seconds,
        "gpupack_points": own[0][1],
        "perf_analyzer_points": rates,
    }


def run_reference(bench: Bench) -> dict[str, Any]:
    """Each of the six points for 30 s, right after a sweep of them."""
    seconds, records = bench.gpupack_sweep()
    control = TritonServer(bench.embedded.url)
    control.check_ready(timeout_s=10)
    control.load(SLEEPER)
    long = MeasureOptions(min_duration_s=REFERENCE_S, max_duration_s=REFERENCE_S)
    reference = {
        point: bench.measure(SLEEPER, point, long).throughput_infer_per_sec
        for point in POINTS
    }
    return {
        "gpupack_s": seconds,
        "gpupack_points": records,
        "reference_points": reference,
    }


def run_ceiling(bench: Bench) -> dict[str, Any]:
    """A model that returns at once, concurrency 16: who gets most out of it?"""
    TritonServer(bench.embedded.url).load(INSTANT)
    common = ("-m", INSTANT, "-b", "1", "--concurrency-range", "16:16", "-p", "1000")
    shared = ("--shared-memory", "system", "--output-shared-memory-size", "64")
    http, grpc = ("-u", bench.address()), ("-i", "grpc", "-u", bench.grpc_address())
    protocols = {
        "perf_analyzer http": http,
        "perf_analyzer http, shared memory": (*http, *shared),
        "perf_analyzer grpc": grpc,
        "perf_analyzer grpc, shared memory": (*grpc, *shared),
    }
    rates: dict[str, list[float]] = defaultdict(list)
    client_cpu_percents = []
    options = MeasureOptions(min_duration_s=3.0, max_duration_s=3.0)
    for _ in range(NUM_CEILING_ROUNDS):
        for name, extra in protocols.items():
            found = bench.perf_analyzer(*common, "-s", "999", *extra)
            rates[name].append(found["1x16"])
        own = bench.measure(INSTANT, "1x16", options)
        rates["gpupack http"].append(own.throughput_infer_per_sec or 0.0)
        client_cpu_percents.append(own.client_cpu_percent)
    return {"requests_per_sec": rates, "client_cpu_percents": client_cpu_percents}


def run_repeats(bench: Bench) -> dict[str, Any]:
    """Measurements with the defaults, between the halves of a 60 s reference."""
    model_name, point = bench.arguments.model, bench.arguments.point
    TritonServer(bench.embedded.url).load(model_name)
    half = MeasureOptions(min_duration_s=REFERENCE_S, max_duration_s=REFERENCE_S)
    halves = [bench.measure(model_name, point, half)]
    repeats = []
    for _ in range(NUM_REPEATS[model_name]):
        begin = time.monotonic()
        one = bench.measure(model_name, point)
        repeats.append(
            {
                "throughput": one.throughput_infer_per_sec,
                "ci_ratio": one.ci_ratio,
                "is_stable": one.verdict.is_stable,
                "seconds": time.monotonic() - begin,
            }
        )
    halves.append(bench.measure(model_name, point, half))
    return {
        "model": model_name,
        "point": point,
        "reference_halves": [half.throughput_infer_per_sec for half in halves],
        "repeats": repeats,
    }


def run_kill(bench: Bench) -> dict[str, Any]:
    """Twenty sweeps of twelve points, each killed and then run again."""
    rng = random.Random(bench.arguments.seed)
    outcomes = []
    for number in range(NUM_KILLS):
        store = bench.folder / f"kill-{number}.jsonl"
        command = gpupack_command(
            store,
            f"--model-repository={bench.repository}",
            f"--models={SLEEPER}",
            *points_of((1, 2, 3, 4), (1, 2, 4)),
            *("--min-seconds=0.2", "--max-seconds=0.2", "--warm-up=0"),
        )
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(1.5, 5.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = store.read_bytes() if store.exists() else b""
        finished = before[: before.rfind(b"\n") + 1]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        keys = [record.key for record in read_profile_file(store).records]
        outcomes.append(
            {
                "lines_before": finished.count(b"\n"),
                "nothing_lost": store.read_bytes().startswith(finished),
                "nothing_repeated": len(keys) == len(set(keys)) == 12,
            }
        )
    return {"outcomes": outcomes}


def report() -> None:
    """Print the figures from the results, newest first where one run is enough."""
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    by_part: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_part[row["part"]].append(row)
    for row in by_part["sweep"]:
        own = row["gpupack_s"]
        print(
            f"six points: gpupack {own:.1f} s, perf_analyzer "
            f"{row['perf_analyzer_s']:.1f} s ({own / row['perf_analyzer_s']:.2f}), "
            f"Model Analyzer {row['model_analyzer_s']:.1f} s "
            f"({own / row['model_analyzer_s']:.2f})"
        )
    _report_accuracy(by_part["reference"])
    for row in by_part["ceiling"]:
        medians = {
            name: statistics.median(rates)
            for name, rates in row["requests_per_sec"].items()
        }
        own = medians.pop("gpupack http")
        best = max(medians, key=lambda name: medians[name])
        print(
            f"ceiling: gpupack {own:.0f} requests/s, {best} {medians[best]:.0f} "
            f"({own / medians[best]:.2f})"
        )
    _report_repeats(by_part["repeats"])
    for row in by_part["kill"]:
        good = sum(
            one["nothing_lost"] and one["nothing_repeated"] for one in row["outcomes"]
        )
        print(f"kill -9: {good} of {len(row['outcomes'])} resumed without fault")


def _report_repeats(rows: Sequence[dict[str, Any]]) -> None:
    held_of_all = num_of_all = 0
    for row in rows:
        reference = statistics.mean(row["reference_halves"])
        repeats = row["repeats"]
        held = sum(
            abs(one["throughput"] - reference) <= one["ci_ratio"] * one["throughput"]
            for one in repeats
        )
        held_of_all += held
        num_of_all += len(repeats)
        halves = ", ".join(f"{half:.1f}" for half in row["reference_halves"])
        widths = [100 * one["ci_ratio"] for one in repeats]
        seconds = statistics.mean(one["seconds"] for one in repeats)
        print(
            f"repeats of {row['model']} {row['point']}: {held} of {len(repeats)} "
            f"intervals hold the reference {reference:.1f} (halves {halves}); ±"
            f"{min(widths):.1f} to ±{max(widths):.1f} %, {seconds:.1f} s each"
        )
    if num_of_all:
        print(f"repeats: {held_of_all} of {num_of_all} in all")


def _report_accuracy(rows: Sequence[dict[str, Any]]) -> None:
    for point in POINTS if rows else ():
        references = [row["reference_points"][point] for row in rows]
        center = statistics.mean(references)
        spread = (max(references) - min(references)) / center
        errors = [
            row["gpupack_points"][point]["throughput_infer_per_sec"] / center - 1
            for row in rows
        ]
        print(
            f"{point}: reference {center:.1f} infer/s, spread of {len(rows)} runs "
            f"{100 * spread:.1f} %; gpupack off by "
            + ", ".join(f"{100 * error:+.1f} %" for error in errors)
        )


PARTS = {
    "sweep": run_sweep,
    "reference": run_reference,
    "ceiling": run_ceiling,
    "repeats": run_repeats,
    "kill": run_kill,
}


def main() -> None:
    """Run one part, or report on what was run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=[*PARTS, "report"])
    parser.add_argument("--perf-analyzer", type=Path)
    parser.add_argument("--libraries", type=Path, default=Path())
    parser.add_argument("--model-analyzer", type=Path)
    parser.add_argument("--model", choices=[SLEEPER, INSTANT], default=SLEEPER)
    parser.add_argument("--point", default="2x4", help="of repeats: BATCHxCONCURRENCY")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.part == "report":
        report()
        return
    environment = benchmark_environment(seed=arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        with bench.embedded:
            row = PARTS[arguments.part](bench)
    row = {
        "part": arguments.part,
        **row,
        "load_average_at_end": os.getloadavg()[0],
        "environment": environment.model_dump(mode="json", exclude_none=True),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
