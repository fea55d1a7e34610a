"""A real Prometheus that scrapes a real Triton and an exporter of made-up GPUs."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from gpupack.errors import ServerUnavailableError
from gpupack.profiling import EmbeddedServer
from tests.profiling.served_models import write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROMETHEUS = shutil.which("prometheus")

# Two H200s of one host. On the first runs the pod of Triton; the second is idle. The
# labels are those of the exporter with DCGM_EXPORTER_KUBERNETES=true.
EXPORTED = """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{{{first}}} 40
DCGM_FI_DEV_GPU_UTIL{{{second}}} 0
# HELP DCGM_FI_DEV_FB_USED Framebuffer memory used (in MiB).
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{{{first}}} 2048
DCGM_FI_DEV_FB_USED{{{second}}} 0
# HELP DCGM_FI_PROF_SM_ACTIVE The ratio of cycles an SM has at least 1 warp assigned.
# TYPE DCGM_FI_PROF_SM_ACTIVE gauge
DCGM_FI_PROF_SM_ACTIVE{{{first}}} 0.25
DCGM_FI_PROF_DRAM_ACTIVE{{{first}}} 0.125
""".format(
    first='gpu="0",UUID="GPU-aaaa",modelName="NVIDIA H200",Hostname="node-a",'
    'container="triton",namespace="serving",pod="triton-0"',
    second='gpu="1",UUID="GPU-bbbb",modelName="NVIDIA H200",Hostname="node-a",'
    'container="",namespace="",pod=""',
)


AUTHORIZATIONS: list[str | None] = []
"""What every request that was served so far said."""


class RunningCluster(NamedTuple):
    """Where the pieces answer."""

    url: str
    """Of Prometheus."""
    server: EmbeddedServer
    began_s: float
    """When the models were there and first scraped."""


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Callable[[str], tuple[int, str, str]]], str]]:
    """Return what serves an answer (status, type, text) by path, and its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str], tuple[int, str, str]]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                AUTHORIZATIONS.append(self.headers["Authorization"])
                status, kind, text = answer(self.path)
                content = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def running(
    serve: Callable[[Callable[[str], tuple[int, str, str]]], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningCluster]:
    if PROMETHEUS is None:
        pytest.skip("no Prometheus here; .ci/install-prometheus installs one")
    repository = tmp_path_factory.mktemp("models")
    write_model(repository, "echo")
    exporter = serve(lambda _: (200, "text/plain; version=0.0.4", EXPORTED))
    try:
        server = EmbeddedServer(
            repository, log_path=tmp_path_factory.mktemp("log") / "triton.log"
        )
    except ServerUnavailableError as err:
        pytest.skip(f"no embedded Triton here: {err}")
    folder = tmp_path_factory.mktemp("prometheus")
    with server:
        _post(f"{server.url}/v2/repository/models/echo/load")
        with _prometheus(folder, server, exporter) as url:
            _wait_for(url, 'nv_inference_count{model="echo"}')
            yield RunningCluster(url, server, time.time())


class _prometheus:  # noqa: N801
    """A Prometheus of the test's own, as a context."""

    def __init__(self, folder: Path, server: EmbeddedServer, exporter: str) -> None:
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                _job("triton", server.metrics_url, "triton-0", "serving"),
                # As its ServiceMonitor does without honorLabels: the pod is its own.
                _job("dcgm", f"{exporter}/metrics", "dcgm-exporter-x", "monitoring"),
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._command = [
            str(PROMETHEUS),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        self._log = folder / "log"

    def __enter__(self) -> str:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT
            )
        return f"http://127.0.0.1:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


def _job(name: str, url: str, pod: str, namespace: str) -> dict[str, object]:
    address = url.removeprefix("http://").partition("/")[0]
    labels = {"pod": pod, "namespace": namespace}
    return {
        "job_name": name,
        "static_configs": [{"targets": [address], "labels": labels}],
    }


def _post(url: str) -> None:
    request = urllib.request.Request(url, data=b"{}", method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass


def _wait_for(url: str, metric: str, *, most_s: float = 60.0) -> None:
    """Wait until a metric was scraped twice."""
    query = urllib.parse.quote(f"count_over_time({metric}[60s]) >= 2")
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(
                f"{url}/api/v1/query?query={query}", timeout=5
            ) as answer:
                if b'"value"' in answer.read():
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{metric} was not scraped within {most_s} s")
