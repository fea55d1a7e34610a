"""Where the server listens, and what happens when it goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.chromium import needs_chromium
from tests.explore.served import PATIENCE_MS, Opened, start_server


def refused(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gpupack", "explore", *words, "--no-browser"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_port_in_use_is_told_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        code, told = refused("medical", "--port", str(port))

    assert code == 2
    assert f"port {port} is in use by another program; give another with --port" in (
        told
    )


def opened_with(
    folder: Path, num_lines: int, **environment: str
) -> tuple[int, list[str], int]:
    """Return the port, what the shell tells, and the exit code of a started page.

    Nothing opens windows there but what the environment names; while the lines are
    awaited, the page is asked for.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "gpupack", "explore", "medical", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={
            "HOME": str(folder),
            "PATH": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "USER": "planner",
        }
        | environment,
    )
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(num_lines)]
    port = int(told[0].split("/")[2].rpartition(":")[2])
    assert httpx.get(told[0].split()[-1]).status_code == 200
    process.send_signal(signal.SIGINT)
    told += process.stdout.readlines()
    return port, told, process.wait(timeout=PATIENCE_MS / 1000)


def fake_program(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def test_without_a_browser_the_shell_tells_where_to_open_the_address(
    tmp_path: Path,
) -> None:
    _, told, code = opened_with(tmp_path, 3)
    assert code == 0
    assert told[0].startswith("gpupack explore is at http://127.0.0.1:")
    assert told[2:] == [
        "No browser could be opened here: open the address yourself, in a browser on "
        "this machine.\n"
    ]


def test_over_ssh_the_shell_tells_how_to_bring_the_page_over(tmp_path: Path) -> None:
    session = "192.0.2.7 50000 192.0.2.9 22"
    port, told, code = opened_with(tmp_path, 4, SSH_CONNECTION=session, LOGNAME="ann")
    assert code == 0
    assert "run this on the machine that you sit at" in told[2]
    assert told[3] == f"  ssh -N -L {port}:127.0.0.1:{port} ann@192.0.2.9\n"


def test_a_browser_of_the_terminal_does_not_take_it_over(tmp_path: Path) -> None:
    fake_program(tmp_path / "w3m", f"echo started > {tmp_path}/started")
    _, told, _ = opened_with(tmp_path, 3, DISPLAY=":77", TERM="xterm")
    assert "No browser could be opened" in told[2]
    assert not (tmp_path / "started").exists()


def test_a_browser_that_stays_open_does_not_hold_the_page_up(tmp_path: Path) -> None:
    # It ends when the test has written that it may.
    fifo = tmp_path / "closed"
    os.mkfifo(fifo)
    browser = fake_program(
        tmp_path / "mine",
        "exec > /dev/null",
        f'echo "$1" > {tmp_path}/asked',
        f": < {fifo}",
    )
    try:
        _, told, code = opened_with(tmp_path, 2, BROWSER=str(browser))
    finally:
        os.close(os.open(fifo, os.O_RDWR))
    assert code == 0
    assert len(told) == 2
    assert (tmp_path / "asked").read_text().strip() == told[0].split()[-1]


def test_nothing_loadable_is_told_before_anything_is_served(tmp_path: Path) -> None:
    code, told = refused("no-such-file.csv")
    assert code == 2
    assert "neither a file nor a built-in example" in told
    empty = tmp_path / "empty.csv"
    empty.touch()
    code, told = refused(str(empty))
    assert code == 2
    assert "the file is empty" in told


def test_a_request_for_other_profiles_is_told(tmp_path: Path) -> None:
    request = tmp_path / "request.yaml"
    request.write_text("models: {elsewhere: {demand: 3}}\n")

    code, told = refused("medical", "--request", str(request))

    assert code == 2
    assert "asks of 'elsewhere'" in told
    assert "made for other profiles" in told


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        ("short", 0o600, "holds no token of at least 20"),
        ("x" * 30, 0o644, "can be read by others"),
    ],
)
def test_a_token_that_protects_nothing_is_refused(
    tmp_path: Path, content: str, mode: int, told: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(mode)

    code, stderr = refused("medical", "--token-file", str(path))

    assert code == 2
    assert told in stderr


def test_tokens_differ_and_ctrl_c_ends_it_well() -> None:
    one = start_server("medical")
    other = start_server("medical")  # the next port that is free
    try:
        assert one.url != other.url
        assert one.port != other.port
        assert one.url.split("/")[3] != other.url.split("/")[3]
        assert len(one.url.split("/")[3]) >= 32
    finally:
        codes = one.end(), other.end()
    assert codes == (0, 0)


@pytest.mark.browser
@pytest.mark.skipif(needs_chromium[1].args[0], reason="no Chromium here")
def test_a_tab_that_was_left_open_goes_on_where_it_was(
    browser: Browser, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    first = start_server("medical", "--token-file", str(token))
    port = str(first.port)
    opened = Opened(browser, first.url)
    page = opened.settled()
    opened.slide("#c-headroom", 80)
    expect(page.locator("#num-gpus")).to_have_text("6")
    first.end()

    opened.slide("#c-headroom", 70)
    away = page.get_by_role("alert").filter(has_text="does not answer")
    expect(away).to_contain_text("nothing on this page is lost")

    again = start_server("medical", "--token-file", str(token), "--port", port)
    try:
        expect(away).to_have_count(0)
        expect(page.locator("#num-gpus")).to_have_text("7")
        assert page.locator("#c-headroom").input_value() == "70"
    finally:
        again.end()
    expect(away).to_be_visible()

    anew = start_server("medical", "--port", port)  # with a token of its own
    try:
        elsewhere = page.get_by_role("alert").filter(has_text="at another address")
        expect(elsewhere).to_contain_text("Nothing is lost")
        elsewhere.get_by_label("Its address").fill(anew.url)
        elsewhere.get_by_role("button", name="Open it there").click()
        expect(page.locator("#num-gpus")).to_have_text("7")
        assert page.url.startswith(anew.url)
        assert page.locator("#c-headroom").input_value() == "70"
    finally:
        anew.end()
    opened.close()
