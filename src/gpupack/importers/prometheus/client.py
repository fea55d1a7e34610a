"""The door to a Prometheus server: its HTTP API, with retries, time and size limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from gpupack.errors import InvalidInputError, MissingExtraError, ServerError
from gpupack.files import read_text
from gpupack.importers.prometheus.api_answer import (
    error_words,
    parse_matrix,
    parse_number,
)
from gpupack.quoting import printable, quoted, shortened
from gpupack.spelling import in_words_of, setting

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase
    from urllib3.util import Retry
except ImportError as err:
    raise MissingExtraError(
        "reading a Prometheus server needs requests: pip install 'gpupack[clusters]'"
    ) from err

if TYPE_CHECKING:
    from gpupack.files import AnyPath
    from gpupack.importers.prometheus.quantities import Quantity
    from gpupack.importers.prometheus.readings import Series, Steps

MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""Of one answer: five million numbers, five times what a week of 200 models takes."""
_RETRIES = 3
_RETRIED = (429, 502, 503, 504)
_CHUNK_BYTES = 1024 * 1024


class _Token(AuthBase):
    """Sends a token, or none, and keeps ``.netrc`` out of it."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            r.headers["Authorization"] = f"Bearer {self._token}"
        return r


def read_token(path: AnyPath) -> str:
    """Return the bearer token that a file holds.

    Raises:
        StoreError: If it cannot be read.
        InvalidInputError: If it holds none; the message shows nothing of it.
    """
    token = read_text(path).strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInputError(
            f"{quoted(str(path))} holds no bearer token: one line of letters is wanted"
        )
    return token


class PrometheusClient:
    """Asks one Prometheus server, or what answers as one: Thanos, Mimir, Cortex.

    Args:
        url: Its address, before ``/api/v1``.
        token: A bearer token, which no message repeats.
        ca_path: Certificates to trust beside those of the system.
        timeout_s: For one query.

    Raises:
        InvalidInputError: If the URL is none of HTTP.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_path: AnyPath | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._base = _base(url)
        self.where = _shown(self._base)
        self._timeout_s = timeout_s
        retry = Retry(
            total=_RETRIES,
            backoff_factor=0.3,
            status_forcelist=_RETRIED,
            allowed_methods=("GET",),
            raise_on_status=False,
        )
        self._session = requests.Session()
        self._session.auth = _url_login(self._base) or _Token(token)
        if ca_path is not None:
            self._session.verify = str(ca_path)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._session.close()

    def read(
        self, quantity: Quantity, steps: Steps, scrape_s: float
    ) -> tuple[Series, ...]:
        """Return a quantity in every step.

        Args:
            quantity: Which.
            steps: All of the same length, whole seconds.
            scrape_s: Between two samples.

        Raises:
            ServerError: If the server cannot be reached, refuses, answers something
                else or too much, or says that its answer is partial.
        """
        step_s = round(steps.edges_s[1] - steps.edges_s[0])
        content = self._get(
            "query_range",
            {
                "query": quantity.expression(step_s, scrape_s),
                "start": f"{steps.edges_s[1]:.3f}",
                "end": f"{steps.edges_s[-1]:.3f}",
                "step": str(step_s),
            },
        )
        return parse_matrix(content, quantity, steps, self.where)

    def scrape_interval_s(
        self, metric: str, at_s: float, within_s: int
    ) -> float | None:
        """Return how far apart the samples of a metric are; None if there are none.

        Of the series with the most samples in the ``within_s`` before ``at_s``.

        Raises:
            ServerError: As ``read``.
        """
        content = self._get(
            "query",
            {
                "query": f"max(count_over_time({metric}[{within_s}s]))",
                "time": f"{at_s:.3f}",
            },
        )
        number = parse_number(content, self.where)
        return None if not number else within_s / number

    def _get(self, path: str, parameters: dict[str, str]) -> bytes:
        timeout = f"{math.ceil(self._timeout_s)}s"
        # Thanos would otherwise answer with what is left when a store is away.
        asked = parameters | {"timeout": timeout, "partial_response": "false"}
        try:
            with self._session.get(
                f"{self._base}/api/v1/{path}",
                params=asked,
                timeout=(10.0, self._timeout_s + 5.0),
                stream=True,
            ) as response:
                content = self._content(response)
        except requests.exceptions.SSLError as err:
            raise ServerError(
                f"{self.where}: its certificate is not trusted: {_reason(err)}; name "
                f"the one that signed it: "
                + in_words_of(python="ca_path", shell="--tls-ca")
            ) from err
        except requests.exceptions.Timeout as err:
            raise ServerError(
                f"{self.where} did not answer within {self._timeout_s:g} s; ask for a "
                "shorter --window, a longer --step, or raise --timeout"
            ) from err
        except requests.exceptions.RequestException as err:
            raise ServerError(
                f"cannot reach Prometheus at {self.where}: {_reason(err)}; check the "
                "address, and whether it answers from here"
            ) from err
        self._check(response, content)
        return content

    def _content(self, response: requests.Response) -> bytes:
        parts, size = [], 0
        for part in response.iter_content(_CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise ServerError(
                    f"{self.where}: an answer exceeds {MAX_ANSWER_BYTES >> 20} MiB; "
                    "ask for a shorter --window or a longer --step"
                )
        return b"".join(parts)

    def _check(self, response: requests.Response, content: bytes) -> None:
        status = response.status_code
        if status in (401, 403):
            raise ServerError(
                f"{self.where} refuses access (HTTP {status}): give the file with a "
                f"token that may read it: {setting('token_file')}"
            )
        if status == 404 and error_words(content) is None:
            raise ServerError(
                f"{self.where} has no /api/v1 (HTTP 404): give the address before it, "
                "with the path of a proxy if there is one"
            )
        if status >= 300:
            words = error_words(content) or shortened(
                printable(content[:200].decode("utf-8", "replace")), 200
            )
            raise ServerError(
                f"{self.where} refuses the query (HTTP {status}): {words}"
            )


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_http = False
    if not is_http:
        raise InvalidInputError(
            f"{quoted(_shown(url))} is no address of a Prometheus: give "
            "http://HOST:PORT or https://…"
        )
    path = parts.path.rstrip("/").removesuffix("/api/v1").removesuffix("/graph")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _shown(url: str) -> str:
    """Return an address without user, password and query."""
    head, at, rest = url.rpartition("@")
    scheme = head.partition("://")[0] + "://" if "://" in head else ""
    return printable((scheme + rest) if at else url).partition("?")[0]


def _url_login(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url)
    return (parts.username, parts.password or "") if parts.username else None


def _reason(err: Exception) -> str:
    """Return the innermost cause of an error, in one line without the address."""
    cause: BaseException = err
    while True:
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return shortened(printable(str(cause) or type(cause).__name__), 200)
