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
    (alpha,) = [
        one
        for one in routes
        if one["match"] == {"path_separated_prefix": "/v2/models/alpha"}
    ]
    assert alpha["route"]["weighted_clusters"]["clusters"] == [
        {"name": "gpu-0", "weight": 3750},
        {"name": "gpu-1", "weight": 3750},
        {"name": "gpu-2", "weight": 2500},
    ]
    any_server = [one for one in routes if "cluster" in one["route"]]
    assert [one["match"] for one in any_server] == [
        {"path": "/v2"},
        {"path_separated_prefix": "/v2/health"},
    ]
    clusters = {one["name"]: one for one in envoy["static_resources"]["clusters"]}
    (group,) = clusters[any_server[0]["route"]["cluster"]]["load_assignment"][
        "endpoints"
    ]
    assert [
        one["endpoint"]["address"]["socket_address"]["port_value"]
        for one in group["lb_endpoints"]
    ] == [8000, 8003, 8006]
    cluster = deploy(placement, "kubernetes", model_repository=models)
    routed = {
        one["metadata"]["name"]: one["spec"]["rules"][0]["backendRefs"]
        for one in documents(cluster.files["gateway/http-routes.yaml"])
    }
    assert {one["name"] for one in routed["gpupack--servers"]} == {
        "gpupack-alpha",
        "gpupack-beta",
    }
    # GPUs 0 and 1 are alike, and replicas of one Deployment.
    assert routed["gpupack-alpha"] == [
        {"name": "gpupack-alpha-gpu-0", "port": 8000, "weight": 7500},
        {"name": "gpupack-alpha-gpu-2", "port": 8000, "weight": 2500},
    ]
    assert routed["gpupack-beta"] == [
        {"name": "gpupack-beta", "port": 8000, "weight": 10_000}
    ]


@contextmanager
def routed_by_nginx(
    placement: gpupack.Placement, models: Path, tmp_path: Path
) -> Iterator[tuple[int, http.client.HTTPConnection, Counter[tuple[str, int]]]]:
    """A real NGINX before servers that count: their first port, a client, requests."""
    first = free_ports(12)
    front = first + 9
    deploy(
        placement,
        "triton",
        model_repository=models,
        output=tmp_path / "out",
        options=DeployOptions(first_port=first, router_port=front),
    )
    snippet = tmp_path / "out" / "router" / "nginx.conf"
    assert f"    listen {front};\n" in snippet.read_text()
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
        for gpu in range(len(placement.gpus)):
            stack.enter_context(counting_server(first + 3 * gpu, got))
        process = subprocess.Popen([tool("nginx"), "-c", str(main)])
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        yield first, connected(front), got


def status_of(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status


def test_nginx_sends_requests_in_the_plans_shares(models: Path, tmp_path: Path) -> None:
    placement = split({0: 30.0, 1: 10.0})
    with routed_by_nginx(placement, models, tmp_path) as (first, connection, got):
        for path in ["/v2/models/alpha/infer"] * 400 + ["/v2/models/beta/infer"] * 10:
            assert status_of(connection, path) == 200
        assert status_of(connection, "/v2/models/gamma/infer") == 404
    assert got == {
        ("/v2/models/alpha/infer", first): 300,
        ("/v2/models/alpha/infer", first + 3): 100,
        ("/v2/models/beta/infer", first + 3): 10,
    }


def test_nginx_finds_metadata_and_health(models: Path, tmp_path: Path) -> None:
    asked = [
        "/v2/models/beta",
        "/v2/models/beta/",
        "/v2/models/beta/config",
        "/v2/models/beta/versions/1/ready",
        "/v2",
        "/v2/health/ready",
        "/v2/health/live",
    ]
    placement = split({0: 30.0, 1: 10.0})
    with routed_by_nginx(placement, models, tmp_path) as (first, connection, got):
        for path in asked:
            assert status_of(connection, path) == 200, path
        for path in ("/v2/models/bet", "/v2/models/beta2", "/v2/models", "/v2/x", "/"):
            assert status_of(connection, path) == 404, path
    of_beta = [one for one in asked if "beta" in one]
    assert {path for path, _ in got} == set(asked)
    assert all(got[path, first + 3] == 1 for path in of_beta)


@pytest.mark.parametrize("length", [243, 244, 245, 250])
def test_nginx_keeps_names_apart_that_are_longer_than_its_locations(
    length: int, tmp_path: Path
) -> None:
    long = "a.+$" + "b" * (length - 4)
    models = write_models(tmp_path / "models", (long, "beta"))
    start = split({0: 30.0})
    (gpu,) = start.gpus
    own, other = gpu.assignments
    placement = start.model_copy(
        update={
            "gpus": (
                gpu.model_copy(
                    update={
                        "assignments": (
                            own.model_copy(update={"model_name": long}),
                            other,
                        )
                    }
                ),
            ),
            "profiles": tuple(
                one.model_copy(update={"model_name": long})
                if one.model_name == "alpha"
                else one
                for one in start.profiles
            ),
        }
    )
    with routed_by_nginx(placement, models, tmp_path) as (_, connection, got):
        for path in (f"/v2/models/{long}", f"/v2/models/{long}/infer"):
            assert status_of(connection, path) == 200
        assert status_of(connection, "/v2/models/beta/infer") == 200
        for path in ("nosuch/infer", f"{long}c/infer", f"{long[:-1]}/infer", "a"):
            assert status_of(connection, f"/v2/models/{path}") == 404
    assert got.total() == 3


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
