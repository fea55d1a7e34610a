"""What a person is told whose URL is wrong; every peer is a real one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from gpupack.errors import ServerError
from gpupack.profiling.server.server_url import TlsOptions
from gpupack.profiling.server.triton import TritonServer
from tests.profiling.peers import free_port, grpc_server, tls_server, web_server

if TYPE_CHECKING:
    from pathlib import Path


def told(url: str, tls: TlsOptions | None = None) -> str:
    with pytest.raises(ServerError) as caught:
        TritonServer(url, tls=tls).check_ready()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_http_to_a_port_that_speaks_grpc_names_the_grpc_url() -> None:
    with grpc_server() as port:
        message = told(f"http://localhost:{port}")

    assert f"does not speak HTTP: give grpc://localhost:{port} if" in message


def test_grpc_to_a_port_that_speaks_http_names_the_http_url() -> None:
    with web_server(404, b"") as port:
        message = told(f"grpc://localhost:{port}")

    assert f"does not speak gRPC: give http://localhost:{port} if" in message


@pytest.mark.parametrize("body", [b"<html>nothing</html>", b"", b'{"error": "no"}'])
def test_a_web_server_is_called_no_triton_and_not_one_that_still_starts(
    body: bytes,
) -> None:
    with web_server(404, body) as port:
        message = told(f"http://localhost:{port}")

    assert "there is no Triton at this address" in message
    assert "starting" not in message


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'["hello"]', b'{"a": 1}'])
def test_a_web_server_that_has_a_page_for_everything_is_no_triton_either(
    body: bytes,
) -> None:
    with web_server(200, body) as port:
        assert "there is no Triton at this address" in told(f"http://localhost:{port}")


def test_a_wrong_prefix_is_named() -> None:
    with web_server(404, b"") as port:
        message = told(f"http://localhost:{port}/triton")

    assert "is the prefix '/triton' wrong?" in message


def test_a_grpc_server_without_tritons_service_is_no_triton() -> None:
    with grpc_server() as port:
        assert "there is no Triton at this address" in told(f"grpc://localhost:{port}")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_port_where_nobody_listens_is_asked_about(scheme: str) -> None:
    assert "is the server running there" in told(f"{scheme}://localhost:{free_port()}")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_host_that_does_not_exist_is_asked_about(scheme: str) -> None:
    message = told(f"{scheme}://no.such.host.invalid:8000")

    assert "is 'no.such.host.invalid' the name of a host?" in message


def test_tls_to_a_port_without_it_names_the_plain_url() -> None:
    with web_server(404, b"") as web, grpc_server() as rpc:
        of_web = told(f"https://localhost:{web}")
        of_rpc = told(f"grpcs://localhost:{rpc}")

    assert f"does not speak TLS: give http://localhost:{web}" in of_web
    assert f"does not speak TLS: give grpc://localhost:{rpc}" in of_rpc


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs openssl"
)


@needs_openssl
def test_no_tls_to_a_port_with_it_names_the_tls_url(
    certificate: tuple[Path, Path],
) -> None:
    with tls_server(certificate) as port:
        of_http = told(f"http://localhost:{port}")
        of_grpc = told(f"grpc://localhost:{port}")

    assert f"https://localhost:{port} if it does encrypt" in of_http
    assert f"grpcs://localhost:{port} if it does encrypt" in of_grpc


@needs_openssl
@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_certificate_nobody_vouches_for_asks_for_one_that_does(
    scheme: str, certificate: tuple[Path, Path]
) -> None:
    with tls_server(certificate) as port:
        message = told(f"{scheme}://localhost:{port}")

    assert "with --tls-ca FILE" in message
    assert "is the server running" not in message


@needs_openssl
@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_certificate_for_another_name_says_so(
    scheme: str, certificate: tuple[Path, Path]
) -> None:
    with tls_server(certificate) as port:
        message = told(
            f"{scheme}://127.0.0.1:{port}", TlsOptions(ca_path=certificate[0])
        )

    assert "certificate is for another name than '127.0.0.1'" in message
