"""Traffic goes where the plan says: the weights, and a real NGINX that has them."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpupack.deploying import DeployOptions, deploy
from gpupack.deploying.routing import whole_weights
from tests.deploying.emitted_servers import free_ports
from tests.deploying.random_placements import H200, random_placement, write_models
from tests.deploying.real_tools import documents, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import gpupack


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50))
def test_weights_add_up_and_are_within_one_of_their_share(parts: list[float]) -> None:
    weights = whole_weights(parts, 10_000)
    assert sum(weights) == 10_000
    for part, weight in zip(parts, weights, strict=True):
        assert weight >= 1
        exact = part / sum(parts) * 10_000
        assert weight <= exact + 1
        assert weight >= exact - len(parts)  # what the tiniest were given is taken here


def test_weights_of_simple_shares_are_those_shares() -> None:
    assert whole_weights([1, 1, 1], 10) == [4, 3, 3]
    assert whole_weights([3, 1], 10_000) == [7500, 2500]
    assert whole_weights([0.0, 1.0], 10) == [0, 10]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_models(tmp_path / "models", ("alpha", "beta"))


def split(shares: dict[int, float]) -> gpupack.Placement:
    """A placement of alpha on GPUs by the traffic they take; beta on the last."""
    start = random_placement(0, gpu_type=H200, names=("alpha", "beta"), most_gpus=1)
    gpu = start.gpus[0]
    base = next(iter(gpu.assignments))
    points = {one.model_name: one.load_point for one in start.profiles}
    gpus = []
    for index, rate in shares.items():
        alpha = base.model_copy(
            update={
                "model_name": "alpha",
                "load_point": points["alpha"],
                "served_infer_per_sec": rate,
            }
        )
        gpus.append(
            gpu.model_copy(update={"gpu_index": index, "assignments": (alpha,)})
        )
    beta = base.model_copy(
        update={
            "model_name": "beta",
            "load_point": points["beta"],
            "served_infer_per_sec": 5.0,
        }
    )
    last = gpus[-1]
    gpus[-1] = last.model_copy(update={"assignments": (*last.assignments, beta)})
    return start.model_copy(update={"gpus": tuple(gpus)})


def test_every_form_has_the_plans_shares(models: Path) -> None:
    placement = split({0: 30.0, 1: 30.0, 2: 20.0})
    host = deploy(placement, "triton", model_repository=models)
    weights = json.loads(host.files["router/weights.json"])
    assert [one["weight"] for one in weights["models"]["alpha"]] == [3750, 3750, 2500]
    envoy = yaml.safe_load(host.files["router/envoy.yaml"])
    (listener,) = envoy["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    (alpha,) = [one for one in routes if one["match"]["prefix"] == "/v2/models/alpha/"]
    assert alpha["route"]["weighted_clusters"]["clusters"] == [
        {"name": "gpu-0", "weight": 3750},
        {"name": "gpu-1", "weight": 3750},
        {"name": "gpu-2", "weight": 2500},
    ]
    cluster = deploy(placement, "kubernetes", model_repository=models)
    routed = {
        one["metadata"]["name"]: one["spec"]["rules"][0]["backendRefs"]
        for one in documents(cluster.files["gateway/http-routes.yaml"])
    }
    # GPUs 0 and 1 are alike, and replicas of one Deployment.
    assert routed["gpupack-alpha"] == [
        {"name": "gpupack-alpha-gpu-0", "port": 8000, "weight": 7500},
        {"name": "gpupack-alpha-gpu-2", "port": 8000, "weight": 2500},
    ]
    assert routed["gpupack-beta"] == [
        {"name": "gpupack-beta", "port": 8000, "weight": 10_000}
    ]


def test_nginx_sends_requests_in_the_plans_shares(models: Path, tmp_path: Path) -> None:
    first = free_ports(12)
    deploy(
        split({0: 30.0, 1: 10.0}),
        "triton",
        model_repository=models,
        output=tmp_path / "out",
        options=DeployOptions(first_port=first),
    )
    front = first + 9
    text = (tmp_path / "out" / "router" / "nginx.conf").read_text()
    snippet = tmp_path / "router.conf"
    snippet.write_text(text.replace("listen 8080;", f"listen 127.0.0.1:{front};"))
    main = tmp_path / "nginx.conf"
    temporary = "".join(
        f"{name}_temp_path {tmp_path}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid;"
        f" error_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; {temporary} include {snippet}; }}\n"
    )
    got: Counter[tuple[str, int]] = Counter()
    with ExitStack() as stack:
        for port in (first, first + 3):
            stack.enter_context(counting_server(port, got))
        process = subprocess.Popen([tool("nginx"), "-c", str(main)])
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        connection = connected(front)
        for path in ["/v2/models/alpha/infer"] * 400 + ["/v2/models/beta/infer"] * 10:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        connection.request("GET", "/v2/models/gamma/infer")
        assert connection.getresponse().status == 404
    assert got == {
        ("/v2/models/alpha/infer", first): 300,
        ("/v2/models/alpha/infer", first + 3): 100,
        ("/v2/models/beta/infer", first + 3): 10,
    }


@contextmanager
def counting_server(port: int, got: Counter[tuple[str, int]]) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            got[self.path, port] += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def connected(port: int) -> http.client.HTTPConnection:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.connect()
            return connection
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
