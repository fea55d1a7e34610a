"""Who may talk to the page: this machine's own browser, with the token.

A page of another site can make a browser send requests here. It knows neither the
token nor may it say that it is this page: the Host and Origin headers, which no script
can set, tell it apart, also where a name of its own leads to this machine (DNS
rebinding).
"""

from __future__ import annotations

import hmac
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_JSON_BYTES = 4 << 20
"""Of a question: thousands of models with every wish."""
MOST_FILE_BYTES = 64 << 20
"""Of a file that is dropped on the page."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets in what has the token, comes from the page itself, and is not too large.

    Args:
        app: What it guards; it sees paths without the token.
        token: The first part of every path.
        port: Where the server listens.
    """

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"{name}:{port}" for name in _LOOPBACK_NAMES}
        if port == 80:
            self._hosts |= set(_LOOPBACK_NAMES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with a sentence that says why."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nothing here speaks anything else

        is_open = False

        async def send_guarded(message: Message) -> None:
            nonlocal is_open
            if message["type"] == "http.response.start":
                is_open = True
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            elif not message.get("more_body", False):
                is_open = False
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(send_guarded, *refusal)
            return
        most = (
            MOST_FILE_BYTES if scope["path"].endswith("/api/read") else MOST_JSON_BYTES
        )
        length = _header(scope, b"content-length")
        if length is not None and (not length.isdigit() or int(length) > most):
            await _refuse(send_guarded, 413, _too_large(most))
            return
        received = 0
        is_too_large = False
        has_refused = False

        async def receive_counted() -> Message:
            nonlocal received, is_too_large
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                is_too_large = True
                return {"type": "http.disconnect"}
            return message

        async def send_unless_refused(message: Message) -> None:
            nonlocal has_refused
            if not is_too_large:
                await send_guarded(message)
            elif not has_refused:
                has_refused = True
                await _refuse(send_guarded, 413, _too_large(most))

        inner = dict(scope)
        inner["path"] = "/" + scope["path"].split("/", 2)[2]
        inner["raw_path"] = inner["path"].encode()
        with suppress(ClientDisconnect):
            # Who sends too much, or goes away, is nobody to tell of anything else.
            await self._app(inner, receive_counted, send_unless_refused)
        if is_open:  # events that end because the server does
            await send_guarded({"type": "http.response.body", "body": b""})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return why a request is refused, None if it is not."""
        host = _header(scope, b"host")
        if host is None or host.lower() not in self._hosts:
            return 421, "this server answers on this machine's own address alone"
        origin = _header(scope, b"origin")
        if origin is not None and origin.lower() not in {
            f"http://{one}" for one in self._hosts
        }:
            return 403, "another page may not ask"
        site = _header(scope, b"sec-fetch-site")
        is_safe = scope["method"] in ("GET", "HEAD")
        if (
            site is not None
            and site not in ("same-origin", "none")
            and not (is_safe and _header(scope, b"sec-fetch-mode") == "navigate")
        ):
            return 403, "another page may not ask"
        if not is_safe and origin is None:
            return 403, "a question says which page it is from (header Origin)"
        parts = scope["path"].split("/", 2)
        if len(parts) < 3 or not hmac.compare_digest(
            parts[1].encode(), self._token.encode()
        ):
            return 403, (
                "this address lacks the right token: open the one that gpupack "
                "explore printed when it was started"
            )
        return None


def _header(scope: Scope, name: bytes) -> str | None:
    """Return a header; one that is there several times, as all of them."""
    found = [value for key, value in scope["headers"] if key == name]
    return b", ".join(found).decode("latin-1") if found else None


def _too_large(most: int) -> str:
    return (
        f"more than {most >> 20} MiB are not read here; give the file to gpupack read"
    )


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"message": message}).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
