"""Server URLs, and what TLS needs."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest

from gpupack.errors import InvalidInputError
from gpupack.profiling.server.server_url import ServerUrl, TlsOptions
from gpupack.profiling.server.triton import TritonServer


@pytest.mark.parametrize(
    ("text", "address", "is_grpc", "is_tls", "is_this_host"),
    [
        ("http://localhost:8000", "localhost:8000", False, False, True),
        ("https://127.0.0.1", "127.0.0.1:8000", False, True, True),
        ("grpc://[::1]:9", "[::1]:9", True, False, True),
        ("grpcs://triton.example:443", "triton.example:443", True, True, False),
        ("grpc://10.0.0.7", "10.0.0.7:8001", True, False, False),
    ],
)
def test_a_url_says_host_port_protocol_and_encryption(
    text: str, address: str, is_grpc: bool, is_tls: bool, is_this_host: bool
) -> None:
    url = ServerUrl.parse(text)

    assert url.address == address
    assert (url.is_grpc, url.is_tls, url.is_this_host) == (
        is_grpc,
        is_tls,
        is_this_host,
    )


def test_this_host_is_known_by_each_of_its_names_and_addresses() -> None:
    own = {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET
    }

    assert own
    for host in ("0.0.0.0", "[::]", socket.gethostname(), *own):
        assert ServerUrl.parse(f"http://{host}:8000").is_this_host, host
    # Reserved for documentation, so nobody's (RFC 5737).
    assert not ServerUrl.parse("http://192.0.2.1:8000").is_this_host


def test_a_prefix_is_kept() -> None:
    assert ServerUrl.parse("http://proxy:80/triton/").path == "/triton"


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost:8001", "ftp://host", "http://", "grpc://host:port"),
        *("http://[::1", "http://host:99999", "http://host:0", "http://host?model=a"),
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="no server URL"):
        ServerUrl.parse(text)


def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(InvalidInputError, match="cannot read"):
        TlsOptions(ca_path=path).context()
    path.write_text("no certificate")
    with pytest.raises(InvalidInputError, match="TLS files cannot be used"):
        TlsOptions(ca_path=path).context()


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("http://h", TlsOptions(verify=False), "the URL is http://h:8000"),
        ("grpc://h", TlsOptions(ca_path=Path("ca.pem")), "the URL is grpc://h:8001"),
        ("grpcs://h", TlsOptions(verify=False), "gRPC checks every certificate"),
        ("https://h", TlsOptions(key_path=Path("key.pem")), "with --tls-cert"),
    ],
)
def test_tls_options_that_would_not_be_heeded_are_refused(
    url: str, options: TlsOptions, told: str
) -> None:
    with pytest.raises(InvalidInputError, match=told):
        TritonServer(url, tls=options)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(
        InvalidInputError, match="it has a user, .*; give http://host,"
    ) as (caught):
        ServerUrl.parse("http://me:secret@host:8000")

    assert "secret" not in str(caught.value)
