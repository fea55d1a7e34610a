"""The embedded server: started, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gpupack.errors import InvalidInputError, ServerError, ServerUnavailableError
from gpupack.profiling.embedded import embedded_server as embedded
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.embedded.installation import (
    check_platform,
    find_installation,
    install_server,
    installation_at,
)
from gpupack.profiling.embedded.model_python import inspect_python
from gpupack.profiling.server.triton import TritonServer
from tests.profiling.served_models import write_model

pytestmark = [pytest.mark.triton, pytest.mark.usefixtures("installed")]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.05)


def test_it_listens_on_loopback_alone_and_stops_with_its_models(
    repository: Path, tmp_path: Path
) -> None:
    log_path = tmp_path / "server.log"
    with EmbeddedServer(repository, log_path=log_path) as server:
        TritonServer(server.url).load("sleeper")
        process = psutil.Process(server.pid)
        pids = [process.pid, *(child.pid for child in process.children(recursive=True))]
        listening = {
            connection.laddr.ip
            for connection in process.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert server._folder is not None
        folder = server._folder
        regions = list(Path("/dev/shm").glob(f"{folder.name}*"))

    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert len(pids) > 1
    assert regions
    wait_until_gone(pids)
    assert not any(region.exists() for region in regions)
    assert "Started HTTPService" in log_path.read_text()


def test_it_stops_when_the_context_ends_with_an_exception(repository: Path) -> None:
    pids = []

    def fail_beside_a_server() -> None:
        with EmbeddedServer(repository) as server:
            pids.append(server.pid)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail_beside_a_server()

    wait_until_gone(pids)


def test_it_does_not_outlive_a_killed_gpupack(repository: Path) -> None:
    code = (
        "import sys, time; from gpupack import EmbeddedServer\n"
        f"with EmbeddedServer({str(repository)!r}) as server:\n"
        "    print(server.pid, server._folder, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid, folder = owner.stdout.readline().split()
    guard = psutil.Process(int(pid)).ppid()

    owner.kill()
    owner.communicate()

    wait_until_gone([int(pid), guard])
    assert not Path(folder).exists()


def test_a_killed_server_is_seen_and_can_be_restarted(repository: Path) -> None:
    with EmbeddedServer(repository) as server:
        os.kill(server.pid, signal.SIGKILL)
        wait_until_gone([server.pid])
        while server.is_running:
            time.sleep(0.02)

        server.restart()

        TritonServer(server.url).check_ready()


def test_a_port_that_is_taken_is_given_up_for_another(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = embedded._free_ports
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answers = [(taken.getsockname()[1], *choose()[1:]), choose()]
        monkeypatch.setattr(embedded, "_free_ports", lambda: answers.pop(0))

        with EmbeddedServer(repository) as server:
            TritonServer(server.url).check_ready()

    assert answers == []


def tree_that_first(does: str, folder: Path) -> Path:
    """A server tree whose tritonserver does something in a shell before it starts."""
    found = find_installation()
    assert found is not None
    binary = found.tritonserver.relative_to(found.root)
    (folder / binary).parent.mkdir(parents=True)
    (folder / binary).write_text(f'#!/bin/sh\n{does}\nexec {found.tritonserver} "$@"\n')
    (folder / binary).chmod(0o755)
    for part in (found.libraries, found.backend.parent, found.stub("3.11").parents[1]):
        (folder / part.relative_to(found.root)).symlink_to(part)
    return folder


def test_a_machine_that_stands_still_is_not_a_server_that_hangs(
    repository: Path, tmp_path: Path
) -> None:
    found = find_installation()
    assert found is not None
    started = tmp_path / "started"
    tree = tree_that_first(f"touch {started}; sleep 0.5", tmp_path / "tree")
    code = (
        "from pathlib import Path\n"
        "from gpupack.profiling.embedded.embedded_server import EmbeddedServer\n"
        f"with EmbeddedServer({str(repository)!r}, root={str(tree)!r},"
        f" python={str(found.python)!r}, log_path=Path({str(tmp_path / 'log')!r}),"
        " start_timeout_s=4.0): pass"
    )
    owner = subprocess.Popen([sys.executable, "-c", code])
    while not started.exists():
        assert owner.poll() is None
        time.sleep(0.01)

    os.kill(owner.pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(owner.pid, signal.SIGCONT)

    assert owner.wait(timeout=30) == 0
    assert (tmp_path / "log").read_text().count("Started HTTPService") == 1


def test_a_server_that_hangs_is_given_up_for_another_once(
    repository: Path, tmp_path: Path
) -> None:
    found = find_installation()
    assert found is not None
    mark = tmp_path / "mark"
    hang_once = f"[ -e {mark} ] || {{ touch {mark}; exec sleep 60; }}"
    tree = tree_that_first(hang_once, tmp_path / "tree")

    with EmbeddedServer(
        repository, root=tree, python=found.python, start_timeout_s=2.0
    ) as server:
        TritonServer(server.url).check_ready()

    hang = tree_that_first("exec sleep 60", tmp_path / "hang")
    with pytest.raises(ServerError, match=r"was not ready within 0\.5 s; its log"):
        EmbeddedServer(
            repository, root=hang, python=found.python, start_timeout_s=0.5
        ).start()


def test_variables_reach_the_models(tmp_path: Path) -> None:
    write_model(
        tmp_path / "models",
        "strict",
        initialize='assert os.environ["GPUPACK_TEST"] == "yes"',
    )
    with EmbeddedServer(
        tmp_path / "models", environment={"GPUPACK_TEST": "yes"}
    ) as server:
        TritonServer(server.url).load("strict")
    with (
        EmbeddedServer(tmp_path / "models") as server,
        pytest.raises(ServerError, match="strict"),
    ):
        TritonServer(server.url).load("strict")


def test_a_load_that_never_ends_is_a_clear_error(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "slow", initialize="time.sleep(60)")
    with EmbeddedServer(tmp_path / "models") as server:
        for url in (server.url, server.grpc_url):
            with (
                TritonServer(url) as control,
                pytest.raises(ServerError, match=r"within 0\.5 s"),
            ):
                control.load("slow", timeout_s=0.5)


def test_a_tree_unpacked_by_other_means_works(repository: Path) -> None:
    found = find_installation()
    assert found is not None

    with EmbeddedServer(repository, root=found.root, python=found.python) as server:
        TritonServer(server.url).check_ready()
    with pytest.raises(InvalidInputError, match="no embedded server under"):
        installation_at(repository)


def test_a_python_that_cannot_run_models_is_refused(tmp_path: Path) -> None:
    def script(text: str) -> Path:
        path = tmp_path / "python3"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    answers = "libpython.a /nowhere /nowhere"

    def answering(version: str, has_numpy: str) -> Path:
        lines = "\\n".join([version, *answers.split(), has_numpy])
        return script(f"printf '{lines}\\n'")

    with pytest.raises(InvalidInputError, match="does not run as a Python"):
        inspect_python(script("exit 1"))
    with pytest.raises(InvalidInputError, match=r"is Python 3\.7"):
        inspect_python(answering("3.7", "yes"))
    with pytest.raises(InvalidInputError, match="has no numpy"):
        inspect_python(answering("3.10", "no"))
    with pytest.raises(InvalidInputError, match=r"has no libpython3\.8"):
        inspect_python(answering("3.8", "yes"))


@pytest.mark.parametrize(
    ("system", "machine", "libc", "told"),
    [
        ("darwin", "arm64", ("", ""), "Linux x86-64 only"),
        ("linux", "aarch64", ("glibc", "2.39"), "Linux x86-64 only"),
        ("linux", "x86_64", ("glibc", "2.31"), r"glibc 2\.35 or newer"),
        ("linux", "x86_64", ("musl", "1.2"), "needs glibc"),
    ],
)
def test_a_system_that_cannot_run_it_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    libc: tuple[str, str],
    told: str,
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: libc)

    with pytest.raises(ServerUnavailableError, match=told):
        check_platform()


def test_a_wheel_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no wheel at"):
        install_server(wheel=tmp_path / "no.whl")


def test_a_half_made_installation_is_no_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUPACK_CACHE_DIR", str(tmp_path))
    (tmp_path / "triton-0.7.0" / "env").mkdir(parents=True)

    assert find_installation() is None
    with pytest.raises(ServerUnavailableError, match="gpupack server install"):
        EmbeddedServer(tmp_path, install=False)
