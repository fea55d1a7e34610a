"""The private MPS daemon, against a stand-in for NVIDIA's control program.

The stand-in keeps the real one's contract: ``-f`` runs in the foreground and answers
through the pipe folder; called without an option it passes on a command.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpupack.errors import ServerUnavailableError
from gpupack.profiling.embedded.mps import MpsDaemon

STAND_IN = """\
#!{python}
import os, signal, sys, time
from pathlib import Path

pipe = Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"])
state = pipe / "control.pid"
if sys.argv[1:] == ["-f"]:
    {before}
    state.write_text(str(os.getpid()))
    while state.exists():
        time.sleep(0.01)
    sys.exit(0)
if not state.exists():
    print("Cannot find MPS control daemon process")
    sys.exit(1)
command = sys.stdin.read().strip()
if command == "quit":
    state.unlink()
elif command == "get_server_list":
    print(4242)
"""


def stand_in(folder: Path, before: str = "pass") -> Path:
    path = folder / "nvidia-cuda-mps-control"
    path.write_text(STAND_IN.format(python=sys.executable, before=before))
    path.chmod(0o755)
    return path


def test_the_daemon_answers_inside_and_leaves_nothing_behind(tmp_path: Path) -> None:
    daemon = MpsDaemon(control=stand_in(tmp_path))
    with daemon:
        folders = [Path(value) for value in daemon.environment.values()]
        assert all(folder.is_dir() for folder in folders)
        assert daemon.server_pids() == (4242,)
        pid = int((folders[0] / "control.pid").read_text())
    assert not daemon.is_running
    assert not any(folder.exists() for folder in folders)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_two_daemons_have_folders_of_their_own(tmp_path: Path) -> None:
    control = stand_in(tmp_path)
    with MpsDaemon(control=control) as first, MpsDaemon(control=control) as second:
        assert not set(first.environment.values()) & set(second.environment.values())


def test_a_machine_without_the_control_program_is_told_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailableError, match="nvidia-cuda-mps-control"):
        MpsDaemon()


def test_a_daemon_that_cannot_start_says_what_it_said(tmp_path: Path) -> None:
    control = stand_in(
        tmp_path, before="sys.exit('an instance of this daemon is already running')"
    )
    daemon = MpsDaemon(control=control)
    with pytest.raises(ServerUnavailableError, match="already running"):
        daemon.start()
    assert not daemon.is_running


def test_the_daemon_ends_when_gpupack_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from gpupack.profiling.embedded.mps import MpsDaemon\n"
        "daemon = MpsDaemon(control=sys.argv[1]); daemon.start()\n"
        "print(daemon.environment['CUDA_MPS_PIPE_DIRECTORY'], flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(stand_in(tmp_path))],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pipe = Path(parent.stdout.readline().strip())
        pid = int((pipe / "control.pid").read_text())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("the daemon outlived gpupack by 10 s")
