"""Does the open-loop client keep its schedule, and measure the latency that there is?

    python -m benchmarks.open_loop --perf-analyzer PATH

Against ``simulated_server``, whose service time is known: one place of service and
Poisson or constant arrivals, so that the mean wait is known too (Pollaczek and
Khinchine); and up to 5,000 requests a second of a server without a queue. Appends one
JSON line per run to ``benchmarks/results/open_loop.jsonl``. The server itself waits for
a CPU at times on a busy machine, and tells when it read and answered each request: the
client's own error is how much later than due it sent, and how much later than answered
it noticed; the rest of a latency is what the server did. ``--first`` runs client and
server before other work, where that is permitted; perf_analyzer's
request-rate mode is measured beside it, in the same run, where its binary is given.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import benchmark_environment
from gpupack.profiling import (
    DrivenModel,
    ModelLoad,
    TritonServer,
)
from gpupack.profiling.load.tensors import make_inputs
from gpupack.records.profile import LoadPoint
from gpupack.records.request.arrivals import Arrivals

RESULTS = Path(__file__).parent / "results" / "open_loop.jsonl"
SECONDS = 10.0
WARM_UP_S = 0.5
CASES = (
    # requests/s, service time in ms, places of service (0: no queue), arrivals
    (10.0, 20.0, 1, "poisson"),
    (25.0, 20.0, 1, "poisson"),
    (35.0, 20.0, 1, "poisson"),
    (25.0, 20.0, 1, "constant"),
    (25.0, 20.0, 1, "gamma:0.5"),
    (1000.0, 20.0, 0, "poisson"),
    (2000.0, 20.0, 0, "poisson"),
    (5000.0, 20.0, 0, "poisson"),
    (5000.0, 20.0, 0, "constant"),
)


def expected_mean_ms(
    rate: float, service_ms: float, num_places: int, arrivals: str
) -> float | None:
    """Return the mean latency by queueing theory; None where it has no formula."""
    if not num_places or arrivals == "constant":
        return service_ms
    if arrivals != "poisson":
        return None
    busy = rate * service_ms / 1e3
    return service_ms + busy * service_ms / (2 * (1 - busy))


def simulate_ms(due_s: np.ndarray, service_ms: float, num_places: int) -> np.ndarray:
    """Return what a perfect client would have seen of these very arrivals."""
    if not num_places:
        return np.full(len(due_s), service_ms)
    done, found = 0.0, []
    for due in due_s:
        done = max(done, due) + service_ms / 1e3
        found.append(1e3 * (done - due))
    return np.array(found)


def run_gpupack(
    url: str, rate: float, arrivals: str, *, service_ms: float, num_places: int
) -> dict[str, Any]:
    """Measure with gpupack's client."""
    with TritonServer(url) as server:
        signature = server.signature("simulated")
        load = ModelLoad(
            signature,
            LoadPoint(batch_size=1, requests_per_sec=rate),
            make_inputs(signature, 1),
            arrivals=Arrivals.parse(arrivals),
        )
        with DrivenModel(server, load) as model:
            model.start()
            end_s = time.monotonic() + WARM_UP_S + SECONDS
            while time.monotonic() < end_s:
                time.sleep(0.05)
                model.process.collect()
            model.process.stop()
            ends, latencies = model.process.trace.completions()
            due, sent, late = model.process.trace.sendings()
            shares = model.process.trace.cpu_shares(int(due[0]), int(ends[-1]))
    with urllib.request.urlopen(f"{url}/v2/times") as answer:
        # The first was sent before the loop, to see whether all is well.
        read_ns, answered_ns = np.array(json.load(answer)[1:], dtype=np.int64).T
    # What was under way when the loop ended is drained, and not counted.
    count = min(map(len, (ends, due, sent, answered_ns)))
    ends, latencies, due, sent = (one[:count] for one in (ends, latencies, due, sent))
    late, read_ns, answered_ns = late[:count], read_ns[:count], answered_ns[:count]
    # A measurement begins after a warm-up, too.
    first = int(np.searchsorted(due, due[0] + WARM_UP_S * 1e9))
    ends, latencies, due, sent = (one[first:] for one in (ends, latencies, due, sent))
    late, read_ns, answered_ns = late[first:], read_ns[first:], answered_ns[first:]
    true_ms = simulate_ms(due / 1e9, service_ms, num_places)
    found_ms = latencies / 1e6
    # One place, or equal times: what was sent first was answered first, and seen first.
    server_ms = (answered_ns - sent) / 1e6
    noticed_ms = (ends - answered_ns) / 1e6
    late_ms = (sent - due) / 1e6
    error_ms = late_ms + noticed_ms
    span_s = (due[-1] - due[0]) / 1e9
    return {
        "asked_requests_per_s": rate,
        "offered_requests_per_s": (len(due) - 1) / span_s,
        "sent_requests_per_s": (len(sent) - 1) / ((sent[-1] - sent[0]) / 1e9),
        "late_p99_us": float(np.percentile(late, 99)) / 1e3,
        "mean_ms": float(found_ms.mean()),
        "p50_ms": float(np.percentile(found_ms, 50)),
        "p99_ms": float(np.percentile(found_ms, 99)),
        "true_mean_ms": float(true_ms.mean()),
        "true_p50_ms": float(np.percentile(true_ms, 50)),
        "true_p99_ms": float(np.percentile(true_ms, 99)),
        "server_mean_ms": float(server_ms.mean()),
        "server_own_mean_ms": float(((answered_ns - read_ns) / 1e6).mean()),
        "server_p99_ms": float(np.percentile(server_ms, 99)),
        "client_late_mean_ms": float(late_ms.mean()),
        "client_noticed_mean_ms": float(noticed_ms.mean()),
        "client_mean_error_ratio": float(error_ms.mean() / server_ms.mean()),
        "client_median_error_ratio": float(np.median(error_ms / server_ms)),
        "client_cpu_share": None if shares is None else shares[0],
    }


def run_perf_analyzer(
    binary: Path, url: str, rate: float, arrivals: str
) -> dict[str, Any]:
    """Measure with perf_analyzer's request-rate mode."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        command = [
            *(str(binary), "-m", "simulated", "-u", url.removeprefix("http://")),
            *("--request-rate-range", f"{rate:g}"),
            *("--request-distribution", arrivals, "--percentile", "99"),
            *("--measurement-interval", f"{1000 * SECONDS / 3:.0f}"),
            *("--stability-percentage", "999", "-f", str(table), "-i", "http"),
            *("--max-threads", "16"),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=180, check=False
        )
        if not table.exists():
            return {"failed": (done.stdout + done.stderr)[-300:]}
        (row,) = csv.DictReader(table.read_text().splitlines())
        return {
            "sent_requests_per_s": float(row["Inferences/Second"]),
            "p50_ms": float(row["p50 latency"]) / 1e3,
            "p99_ms": float(row["p99 latency"]) / 1e3,
            "mean_ms": float(row["Avg latency"]) / 1e3
            if "Avg latency" in row
            else None,
        }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perf-analyzer", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--first", action="store_true")
    arguments = parser.parse_args()
    if arguments.first:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    for rate, service_ms, places, arrivals in CASES:
        command = [sys.executable, "-m", "benchmarks.simulated_server"]
        command += ["--service-ms", str(service_ms), "--places", str(places)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            try:
                found = run_gpupack(
                    url, rate, arrivals, service_ms=service_ms, num_places=places
                )
                peer = (
                    run_perf_analyzer(arguments.perf_analyzer, url, rate, arrivals)
                    if arguments.perf_analyzer and not arrivals.startswith("gamma")
                    else None
                )
            finally:
                server.terminate()
        row = {
            "service_ms": service_ms,
            "places": places,
            "arrivals": arrivals,
            "is_first": arguments.first,
            "expected_mean_ms": expected_mean_ms(rate, service_ms, places, arrivals),
            "gpupack": found,
            "perf_analyzer": peer,
            "environment": benchmark_environment(seed=0).model_dump(
                mode="json", exclude_none=True
            ),
        }
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row | {"environment": None}), flush=True)


if __name__ == "__main__":
    main()
