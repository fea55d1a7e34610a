"""Commands under a guard, which are real processes here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gpupack.profiling.embedded import server_guard
from gpupack.profiling.embedded.guarded_process import GuardedProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="guards are for Linux")


def run(tmp_path: Path, *command: str) -> tuple[GuardedProcess, Path]:
    folder = tmp_path / "private"
    folder.mkdir()
    with (folder / "log").open("ab") as output:
        process = GuardedProcess(
            command, folder=folder, output=output, environment=os.environ
        )
    return process, folder


def is_at_work(process: psutil.Process) -> bool:
    # An orphan is a zombie until the host's first process has seen to it.
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def members(group: int) -> list[psutil.Process]:
    """Return the processes of a process group that are at work."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and is_at_work(process):
                found.append(process)
    return found


def wait_until_ended(process: GuardedProcess) -> None:
    deadline = time.monotonic() + 10
    while process.is_running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.is_running


def test_a_command_that_ends_by_itself_leaves_its_log_to_be_read(
    tmp_path: Path,
) -> None:
    process, folder = run(tmp_path, "sh", "-c", "echo out of luck; exit 3")

    wait_until_ended(process)

    assert (folder / "log").read_text() == "out of luck\n"
    process.stop()
    assert (folder / "log").read_text() == "out of luck\n"


def test_a_stopped_command_is_gone_with_what_it_started_and_its_folder(
    tmp_path: Path,
) -> None:
    process, folder = run(tmp_path, "sh", "-c", "sleep 60 & sleep 60")
    assert process.pid is not None
    family = [psutil.Process(process.pid)]
    while len(family) < 3:
        family = [family[0], *family[0].children(recursive=True)]

    process.stop()

    assert not any(is_at_work(member) for member in family)
    assert not folder.exists()


def test_a_command_that_cannot_be_executed_has_no_process_id(tmp_path: Path) -> None:
    process, folder = run(tmp_path, str(tmp_path / "nothing"))

    wait_until_ended(process)

    assert process.pid is None
    assert "No such file" in (folder / "log").read_text()
    process.stop()


def test_a_gpupack_that_is_gone_before_it_read_the_number_leaves_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    # Nobody is left to read what the guard says, nor holds its standard input.
    reader, writer = os.pipe()
    os.close(reader)
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", server_guard.__file__, folder, "sleep", "60"],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writer)

    guard.wait(10)

    assert not folder.exists()
    assert not members(guard.pid)


def test_a_command_that_ends_by_itself_leaves_no_shared_memory(tmp_path: Path) -> None:
    folder = tmp_path / f"private-{time.monotonic_ns()}"
    folder.mkdir()
    region = Path("/dev/shm") / f"{folder.name}-region"

    with (folder / "log").open("ab") as output:
        process = GuardedProcess(
            ["sh", "-c", f"touch {region}; exit 3"],
            folder=folder,
            output=output,
            environment=os.environ,
        )
    wait_until_ended(process)

    assert not region.exists()
    assert folder.exists()
