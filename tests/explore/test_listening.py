"""Where the server listens, and what happens when it goes away."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.chromium import needs_chromium
from tests.explore.served import Opened, start_server


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
