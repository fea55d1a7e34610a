"""Listen on this machine, and open the page in a browser."""

from __future__ import annotations

import errno
import getpass
import json
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingExtraError, UnknownNameError
from gpupack.files import AnyPath
from gpupack.quoting import quoted, quoted_all

if TYPE_CHECKING:
    from gpupack.explore.jobs import Knowledge, LoadedSource
    from gpupack.records.request import Request

FIRST_PORT = 8734
MOST_PORTS = 20
"""Tried one after the other, where none is asked for."""
HOST = "127.0.0.1"
TOKEN_BYTES = 24
LEAST_TOKEN = 20
"""Letters of a token that somebody keeps in a file."""


@dataclass(frozen=True, slots=True)
class ExploreOptions:
    """How the page is served.

    Args:
        port: Where to listen; None for the first of some that is free, 0 for any.
        token_file: Keeps the token, so that an open page finds the server again after
            it was started anew; written if it is not there. None: a new one each time.
        is_read_only: Whether the page shows and does not ask.
        opens_browser: Whether to open the page in a browser.
    """

    port: int | None = None
    token_file: Path | None = None
    is_read_only: bool = False
    opens_browser: bool = True


@dataclass
class _Listening:
    """A socket that listens, and the page's address on it."""

    socket: socket.socket
    token: str
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.port = self.socket.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/{self.token}/"


def explore(
    source: str,
    request: Request | None = None,
    *,
    knowledge: Knowledge | None = None,
    options: ExploreOptions | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until it is interrupted.

    Args:
        source: A file of profiles, or the name of a built-in example.
        request: What is asked first.
        knowledge: What the file does not say itself.
        options: How the page is served.
        say: Told the page's address, and what could not be done.

    Raises:
        InvalidInputError: If the source cannot be read, the request is for other
            profiles, or the port is in use.
        MissingExtraError: If the extra ``explore`` is not installed.
    """
    options = options or ExploreOptions()
    try:
        import sse_starlette  # noqa: F401
        import uvicorn
    except ImportError as err:
        raise MissingExtraError(
            "gpupack explore needs a web server: pip install 'gpupack[explore]'"
        ) from err
    # The server's packages are only there with the extra.
    from gpupack.explore.jobs import load_source
    from gpupack.explore.server import Start, create_app

    loaded = load_source(
        source,
        knowledge
        or {"model_name": None, "batch_size": None, "columns": {}, "units": {}},
    )
    start = Start(loaded, _first_request(loaded, request), options.is_read_only)
    listening = _listen(options)

    def tell() -> None:
        # Not before: the server hears Ctrl-C by now.
        say(f"gpupack explore is at {listening.url}")
        say("It answers on this machine alone; Ctrl-C ends it.")
        if options.opens_browser:
            # Some browsers return when their window is closed.
            threading.Thread(
                target=_open_or_tell, args=(listening, say), daemon=True
            ).start()

    app = create_app(start, token=listening.token, port=listening.port, on_start=tell)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
        ws="none",
    )
    with listening.socket, suppress(KeyboardInterrupt):
        # Ctrl-C is how it ends; uvicorn tells of it once more when it has closed.
        uvicorn.Server(config).run(sockets=[listening.socket])


def _first_request(loaded: LoadedSource, request: Request | None) -> str:
    """Return what the page asks first, as JSON of what differs from the defaults.

    Raises:
        UnknownNameError: If the request names models without a profile.
    """
    from gpupack.explore.jobs import plain_json
    from gpupack.planning import overlay_requests
    from gpupack.records.request import Request as AnyRequest

    names = [one.name for one in loaded.view.models]
    asked = request or AnyRequest()
    unknown = sorted(set(asked.models) - set(names))
    if unknown:
        raise UnknownNameError(
            f"the request asks of {quoted_all(unknown)}, but there are profiles of "
            f"{quoted_all(names) or 'nothing'}. It was made for other profiles: name "
            "those, or let `gpupack init` write one for these"
        )
    if loaded.beside is not None:
        beside = AnyRequest.model_validate(json.loads(loaded.beside))
        asked, _ = overlay_requests(beside, asked)
    if asked.workers is None:
        # The same question then has the same answer, and pages share the machine.
        asked = asked.model_copy(update={"workers": 1})
    return plain_json(asked)


def _listen(options: ExploreOptions) -> _Listening:
    """Return a socket of this machine alone.

    Raises:
        InvalidInputError: If no port is free, or the token cannot be kept.
    """
    token = _token(options.token_file)
    if options.port is not None:
        ports = [options.port]
    else:
        ports = [*range(FIRST_PORT, FIRST_PORT + MOST_PORTS), 0]
    for port in ports:
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
            one.listen(128)
        except OSError as err:
            one.close()
            if err.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            if port == ports[-1]:
                why = (
                    "is in use by another program"
                    if err.errno == errno.EADDRINUSE
                    else "may not be used by this user"
                )
                raise InvalidInputError(
                    f"port {port} {why}; give another with --port, or leave it out "
                    "for one that is free"
                ) from err
            continue
        return _Listening(one, token)
    raise InvalidInputError("no port is free; give one with --port")


def _token(path: AnyPath | None) -> str:
    """Return a token that nobody can guess, the one in a file if there is one.

    Raises:
        InvalidInputError: If the file holds something else, or others can read it.
    """
    fresh = secrets.token_urlsafe(TOKEN_BYTES)
    if path is None:
        return fresh
    file = Path(path)
    try:
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(fresh + "\n", encoding="ascii")
            return fresh
        if file.stat().st_mode & 0o077:
            raise InvalidInputError(
                f"{quoted(str(file))} can be read by others, and so could the page: "
                "chmod 600 it, or name another file"
            )
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise InvalidInputError(
            f"{quoted(str(file))}: no token can be kept there: {err}"
        ) from err
    letters = token.replace("-", "").replace("_", "")
    if len(token) < LEAST_TOKEN or not letters.isalnum():
        raise InvalidInputError(
            f"{quoted(str(file))} holds no token of at least {LEAST_TOKEN} letters and "
            "digits; name a file that is not there, and one is written"
        )
    return token


def _open_or_tell(listening: _Listening, say: Callable[[str], None]) -> None:
    """Open the page in a browser, or say how else it can be seen."""
    if _opened(listening.url):
        return
    # "client port server port", of the session that this shell belongs to.
    session = os.environ.get("SSH_CONNECTION", "").split()
    if len(session) != 4:
        say(
            "No browser could be opened here: open the address yourself, in a browser "
            "on this machine."
        )
        return
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "USER"
    port = listening.port
    say(
        "No browser could be opened here. You came by ssh: run this on the machine "
        "that you sit at, and open the address there.\n"
        f"  ssh -N -L {port}:{HOST}:{port} {user}@{session[2]}"
    )


def _opened(url: str) -> bool:
    """Return whether a browser was opened: in a window, not in this terminal."""
    is_chosen = bool(os.environ.get("BROWSER"))
    has_windows = sys.platform in ("darwin", "win32") or any(
        os.environ.get(one) for one in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if not has_windows and not is_chosen:
        return False
    try:
        # Browsers of a terminal alone are of this plain kind, and would take it over.
        is_plain = type(webbrowser.get()) is webbrowser.GenericBrowser
        return (is_chosen or not is_plain) and webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
