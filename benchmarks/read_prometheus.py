"""Time reading a week of a large cluster: ``python -m benchmarks.read_prometheus``.

Answers of Prometheus' API are made up beforehand and served by a process of their own,
so that what is timed is gpupack's: HTTP, parsing, joining, statistics.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np

from gpupack import read_prometheus

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

END_S = 1_700_000_000
STEP_S = 300
NUM_STEPS = 2016
COARSE = 72
"""Steps that are asked for as one, where only their sum is wanted."""
SERVERS_PER_MODEL = 2


def main() -> None:
    """Print what was read, and the seconds of CPU and of wall time it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--gpus", type=int, default=100)
    given = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(
        target=_serve, args=(theirs, given.models, given.gpus), daemon=True
    )
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    wall, cpu = time.perf_counter(), time.process_time()
    cluster = read_prometheus(url, window="7d", end="2023-11-14T22:13:20")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    server.kill()
    print(
        json.dumps(
            {
                "models": len(cluster.demands),
                "gpus": len(cluster.gpus),
                "steps": len(cluster.window.times_s),
                "cpu_s": round(cpu, 2),
                "wall_s": round(wall, 2),
            }
        )
    )


def _serve(pipe: Connection, num_models: int, num_gpus: int) -> None:
    answers = _answers(num_models, num_gpus)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)["query"][0]
            if parts.path.endswith("/query"):
                result = [{"metric": {}, "value": [END_S, "40"]}]  # every 15 s
                content = _answer("vector", result)
            else:
                content = next(
                    (text for name, text in answers.items() if f"{name}[" in query),
                    _answer("matrix", []),
                )
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_address[1])
    server.serve_forever()


def _answers(num_models: int, num_gpus: int) -> dict[str, bytes]:
    random = np.random.default_rng(0)
    of_models = [
        {
            "namespace": "serving",
            "pod": f"triton-{(model + copy * 7) % num_gpus}",
            "instance": "10.0.0.1:8002",
            "model": f"model-{model}",
        }
        for model in range(num_models)
        for copy in range(SERVERS_PER_MODEL)
    ]
    of_gpus = [
        {
            "UUID": f"GPU-{gpu}",
            "gpu": str(gpu % 8),
            "modelName": "NVIDIA H200",
            "Hostname": f"node-{gpu // 8}",
            "exported_namespace": "serving",
            "exported_pod": f"triton-{gpu}",
        }
        for gpu in range(num_gpus)
    ]

    def matrix(labels: list[dict[str, str]], most: float, pieces: int = 1) -> bytes:
        step_s = STEP_S * pieces
        times = range(END_S - step_s * (NUM_STEPS // pieces - 1), END_S + 1, step_s)
        return _answer(
            "matrix",
            [
                {
                    "metric": one,
                    "values": [
                        [at, repr(value)]
                        for at, value in zip(
                            times,
                            random.uniform(0, most, len(times)).tolist(),
                            strict=True,
                        )
                    ],
                }
                for one in labels
            ],
        )

    counters = (
        "nv_inference_request_success",
        "nv_inference_exec_count",
        "nv_inference_request_duration_us",
        "nv_inference_queue_duration_us",
    )
    gauges = (
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_FB_FREE",
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_PROF_SM_ACTIVE",
        "DCGM_FI_PROF_DRAM_ACTIVE",
    )
    return (
        {"nv_inference_count": matrix(of_models, 100.0)}
        | {name: matrix(of_models, 100.0, COARSE) for name in counters}
        | {name: matrix(of_gpus, 1.0) for name in gauges}
    )


def _answer(kind: str, result: list[object]) -> bytes:
    data = {"resultType": kind, "result": result}
    return json.dumps({"status": "success", "data": data}).encode()


if __name__ == "__main__":
    main()
