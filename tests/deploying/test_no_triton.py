"""Servers that answer what Triton does not, asked for their status."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from gpupack.cli.app import app
from gpupack.deploying import DifferenceKind, check_status, deploy
from gpupack.records.environment import SharingMode
from tests.deploying.random_placements import H200, random_placement, write_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    placement = random_placement(
        1, gpu_type=H200, sharing_mode=SharingMode.MPS, most_gpus=6
    )
    models = write_models(tmp_path / "models")
    out = tmp_path / "out"
    deploy(placement, "kubernetes", model_repository=models, output=out)
    return out


@contextmanager
def answering(listing: str, configuration: str = "{}") -> Iterator[str]:
    """Answer every question for the models, and every other, with a text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = listing if "repository" in self.path else configuration
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (as the class spells it)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "listing",
    ["null", "5", '"x"', "[1]", "[{}]", '[{"name": 5}]', '{"a": 1}', '{"models": 1}'],
)
def test_a_listing_that_is_no_tritons_is_said_in_a_sentence(
    listing: str, written: Path
) -> None:
    name = json.loads((written / "deployment.json").read_text())["servers"][0]["name"]
    with answering(listing) as url:
        shell = CliRunner().invoke(app, ["status", str(written), f"--url={name}={url}"])
    assert shell.exit_code == 4, shell.output
    assert f"{name}: unreachable: {url} answers what Triton does not" in shell.output


@pytest.mark.parametrize(
    "configuration",
    [
        "null",
        "[1]",
        '{"config": 5}',
        '{"max_batch_size": "abc"}',
        '{"instance_group": 5}',
        '{"parameters": [1]}',
        '{"input": [null]}',
    ],
)
def test_a_configuration_that_is_no_tritons_is_said_in_a_sentence(
    configuration: str, written: Path
) -> None:
    record = json.loads((written / "deployment.json").read_text())
    server = record["servers"][0]
    models = [one["name"] for one in server["models"]]
    listing = [{"name": one, "version": "1", "state": "READY"} for one in models]
    with answering(json.dumps(listing), configuration) as url:
        found = check_status(written, urls={server["name"]: url})
    assert [(one.kind, one.what) for one in found.differences] == [
        (DifferenceKind.NOT_RUNNING, one) for one in sorted(models)
    ]
    assert all("Triton" in one.detail for one in found.differences)
