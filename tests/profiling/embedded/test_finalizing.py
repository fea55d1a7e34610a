"""Models that do something when they are unloaded, under a server that is killed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import psutil
import pytest

from gpupack.profiling.embedded import embedded_server
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.embedded.finalizing import finalizes, finish
from gpupack.profiling.server.triton import TritonServer
from tests.profiling.served_models import write_finalizing

PLAIN = "class TritonPythonModel:\n    def execute(self, requests): ...\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (PLAIN, False),
        (PLAIN + "    def finalize(self): ...\n", True),
        ("import atexit\n" + PLAIN, True),
        (PLAIN + "    def __del__(self): ...\n", True),
        ("from elsewhere import TritonPythonModel\n", True),
        ("class TritonPythonModel(Base):\n    pass\n", True),
        (None, False),
    ],
)
def test_code_that_may_have_an_end_is_told_from_code_that_has_none(
    tmp_path: Path, code: str | None, *, expected: bool
) -> None:
    (tmp_path / "1").mkdir()
    if code is not None:
        (tmp_path / "1" / "model.py").write_text(code)

    assert finalizes(tmp_path) is expected


def test_a_module_beside_the_model_may_have_its_end(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.py").write_text(PLAIN)
    (tmp_path / "1" / "tables.py").write_text("import atexit\n")

    assert finalizes(tmp_path)


def test_a_server_that_does_not_answer_is_left_as_it_is(tmp_path: Path) -> None:
    finish("http://127.0.0.1:9", tmp_path)


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_models_finish_before_their_server_is_killed_or_renewed(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    written = write_finalizing(repository, "keeper")

    with EmbeddedServer(repository) as server:
        TritonServer(server.url).load("keeper")
        server.restart(at_once=True)
        assert written.read_text() == "finished\n"
        written.unlink()
        TritonServer(server.url).load("keeper")
        server.stop(at_once=True)

    assert written.read_text() == "finished\n"


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_model_that_does_not_finish_is_killed_with_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models"
    written = write_finalizing(repository, "clinger", first="time.sleep(3600)")
    monkeypatch.setattr(embedded_server, "finish", partial(finish, patience_s=0.2))

    with EmbeddedServer(repository) as server:
        TritonServer(server.url).load("clinger")
        family = psutil.Process(server.pid).children(recursive=True)
        server.stop(at_once=True)

    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not written.exists()
