"""HTTPS, through a small proxy that puts TLS in front of a real Triton."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gpupack.errors import ServerError
from gpupack.profiling.devices.host import HostDevice
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.load.driven_model import ModelLoad
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.measuring.measurement import measure
from gpupack.profiling.server.server_url import ServerUrl, TlsOptions
from gpupack.profiling.server.triton import TritonServer
from gpupack.records.profile import LoadPoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl"),
]


@pytest.fixture(scope="module")
def triton(
    installed: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    # Of its own: the one that all tests share is not ready once a test made one of
    # its models crash.
    log_path = tmp_path_factory.mktemp("log") / "tritonserver.log"
    with EmbeddedServer(repository, log_path=log_path) as server:
        yield server


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def https_url(triton: EmbeddedServer, certificate: tuple[Path, Path]) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    behind = ServerUrl.parse(triton.url)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError):
                client = context.wrap_socket(plain, server_side=True)
                server = socket.create_connection((behind.host, behind.port))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(
                        target=pump, args=(one, other), daemon=True
                    ).start()

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield f"https://localhost:{listener.getsockname()[1]}"


def test_a_model_is_driven_over_https(
    triton: EmbeddedServer, https_url: str, certificate: tuple[Path, Path]
) -> None:
    server = TritonServer(https_url, tls=TlsOptions(ca_path=certificate[0]))
    server.check_ready()
    server.load("sleeper")
    signature = server.signature("sleeper")
    load_point = LoadPoint(batch_size=2, concurrency=2)
    load = ModelLoad(signature, load_point, make_inputs(signature, 2))

    result = measure(
        server,
        load,
        device=HostDevice(triton.pid),
        options=MeasureOptions(min_duration_s=0.2, max_duration_s=0.3, warm_up_s=0),
    )

    assert result.loads[0].throughput_infer_per_sec is not None


def test_a_certificate_nobody_vouches_for_is_refused(
    triton: EmbeddedServer, https_url: str
) -> None:
    with pytest.raises(ServerError, match="--tls-ca"):
        TritonServer(https_url).check_ready()
    trusting = TritonServer(https_url, tls=TlsOptions(verify=False))
    trusting.check_ready()
