"""One real embedded Triton for all tests that only read it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from gpupack.errors import ServerUnavailableError
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.embedded.installation import install_server
from tests.profiling.served_models import write_repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def installed() -> None:
    try:
        install_server()
    except ServerUnavailableError as err:
        pytest.skip(f"no embedded Triton here: {err}")


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def triton(
    installed: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    log_path = tmp_path_factory.mktemp("log") / "tritonserver.log"
    with EmbeddedServer(repository, log_path=log_path) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate for localhost that nobody vouches for, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, path = folder / "key.pem", folder / "certificate.pem"
    options = f"-x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {path}"
    name = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        ["openssl", "req", *options.split(), *name.split()],
        check=True,
        capture_output=True,
    )
    return path, key
