"""Who may talk to the page, and who may not."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.explore.served import Served


def asked(server: Served, **headers: str) -> httpx.Response:
    """Ask a question as whoever sends these headers."""
    given = {"Origin": server.origin} | headers
    return httpx.post(
        f"{server.url}api/cancel",
        json={"view": "guard", "slot": "question"},
        headers={name: value for name, value in given.items() if value},
    )


def raw(server: Served, head: str, body: bytes = b"") -> bytes:
    """Send bytes as they are, and return the first of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as one:
        one.sendall(head.replace("\n", "\r\n").encode() + body)
        return one.recv(4096)


def test_the_page_itself_is_let_in(medical: Served) -> None:
    assert asked(medical).status_code == 200
    assert asked(medical, **{"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_another_page_is_not(medical: Served, headers: dict[str, str]) -> None:
    assert asked(medical, **headers).status_code == 403


def test_another_page_can_not_even_read(medical: Served) -> None:
    foreign = {"Origin": "http://evil.example"}
    answer = httpx.get(f"{medical.url}api/start", headers=foreign)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    script = httpx.get(f"{medical.url}assets/app.js", headers=embedded)
    assert script.status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example"]
)
def test_a_name_that_was_led_here_is_refused(medical: Served, host: str) -> None:
    answer = httpx.get(f"{medical.url}api/start", headers={"Host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize("token", ["", "wrong/", "%00/", "A" * 32 + "/"])
def test_without_the_right_token_nothing_is_told(medical: Served, token: str) -> None:
    for path in ("", "api/start", "assets/app.js"):
        answer = httpx.get(f"{medical.origin}/{token}{path}")
        assert answer.status_code == 403, path
        assert "gpupack explore printed" in answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        "assets/../server.py",
        "assets/..%2fserver.py",
        "assets/%2e%2e/%2e%2e/server.py",
        "assets//etc/passwd",
        "assets/vendor/lit-html/LICENSE",
        "assets/__init__.py",
        "nothing",
    ],
)
def test_nothing_but_the_pages_own_files_is_served(medical: Served, path: str) -> None:
    token = medical.url.rsplit("/", 2)[1]
    head = f"GET /{token}/{path} HTTP/1.1\nHost: 127.0.0.1:{medical.port}\n\n"
    assert raw(medical, head).split(b" ", 2)[1] in (b"404", b"403")


@pytest.mark.parametrize("path", ["api/ask", "api/read?name=a.csv"])
def test_100_mb_are_refused_before_they_are_read(medical: Served, path: str) -> None:
    token = medical.url.rsplit("/", 2)[1]
    head = (
        f"POST /{token}/{path} HTTP/1.1\nHost: 127.0.0.1:{medical.port}\n"
        f"Origin: {medical.origin}\nContent-Type: application/json\n"
    )
    told = raw(medical, head + "Content-Length: 100000000\n\n", b"{")
    assert told.startswith(b"HTTP/1.1 413")
    # One that does not say how long it is ends where it is too long.
    with socket.create_connection(("127.0.0.1", medical.port), timeout=20) as one:
        chunked = head + "Transfer-Encoding: chunked\n\n"
        one.sendall(chunked.replace("\n", "\r\n").encode())
        piece = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        try:
            for _ in range(100):
                one.sendall(piece)
        except ConnectionError:
            pass
        else:
            assert one.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"view": 3}', "application/json", 400),
        (b'{"view": "v", "data": "unknown"}', "application/json", 410),
        (b'{"view": "v", "data": "d"}', "text/plain", 415),
    ],
    ids=["broken", "list", "deep", "number", "unknown data", "form"],
)
def test_what_the_page_never_sends_is_refused(
    medical: Served, body: bytes, kind: str, status: int
) -> None:
    answer = medical.client.post(
        "api/ask", content=body, headers={"Content-Type": kind}
    )
    assert answer.status_code == status
    assert answer.json()["message"]


def test_every_answer_forbids_what_the_page_does_not_need(medical: Served) -> None:
    for path in ("", "assets/app.js", "api/start", "nothing"):
        headers = medical.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_it_listens_on_this_machine_alone(medical: Served) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        address = probe.getsockname()[0]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((address, medical.port), timeout=5).close()
