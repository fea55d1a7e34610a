"""Why a server did not do what it was asked: a foreign error in words, with a way out.

What the words of the server itself mean is left to the reader. Only what comes before
a server has answered at all (the address, the protocol, TLS) is judged here, by the
error's type or status; gRPC has one status for all of it, so there by its text.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from gpupack.profiling.measuring_stack import not_installed
from gpupack.quoting import quoted

try:
    from tritonclient.utils import InferenceServerException
except ImportError as err:
    raise not_installed(err) from err

if TYPE_CHECKING:
    from gpupack.profiling.server.server_url import ServerUrl

FOREIGN_ERRORS = (
    InferenceServerException,
    http.client.HTTPException,
    OSError,
    EOFError,
    ValueError,
)
"""What asking a server raises: its refusals, broken HTTP, sockets, TLS, bad JSON."""

_NO_TRITON = ("404", "405", "501", "UNIMPLEMENTED")
_NO_TLS = ("WRONG_VERSION_NUMBER", "EOF occurred", "UNEXPECTED_EOF")
_NO_GRPC = ("Socket closed", "recvmsg", "HTTP/2", "http2")


def explain_failure(
    url: ServerUrl,
    purpose: str,
    error: BaseException,
    *,
    timeout_s: float,
    has_answered: bool,
) -> str:
    """Return what went wrong, and where the address is to blame, what to change.

    Args:
        url: Who was asked.
        purpose: What for, as in "did not PURPOSE".
        error: One of ``FOREIGN_ERRORS``.
        timeout_s: How long the call could take.
        has_answered: Whether this address has answered before, so that it is right.
    """
    status, told = _status(error), _words(error)
    message = f"{url} did not {purpose}: {told}"
    if _is_timeout(error, status, told):
        return f"{message} (within {timeout_s:g} s)"
    if "explicit model load" in told:
        return (
            f"{message}; start the server with --model-control-mode=explicit, so "
            "that each model can be measured alone"
        )
    if has_answered:
        lost = isinstance(error, OSError | EOFError | http.client.HTTPException)
        gone = "; it answered before: is it still running?"
        return f"{message}{gone}" if lost else message
    hint = _hint(url, error, status, told)
    return f"{message}; {hint}" if hint else message


def _hint(url: ServerUrl, error: BaseException, status: str, told: str) -> str:
    """Return what to change about an address that has never answered, or ''."""
    # gRPC says that there is no connection, whatever the reason.
    no_grpc = status == "UNAVAILABLE"
    if isinstance(error, ssl.SSLError) or (no_grpc and _is_about_tls(told)):
        return _tls_hint(url, told)
    if status in _NO_TRITON or (isinstance(error, ValueError) and not status):
        prefix = f", or is the prefix {quoted(url.path)} wrong" if url.path else ""
        return f"there is no Triton at this address: is it another server{prefix}?"
    if isinstance(error, http.client.HTTPException) or (
        no_grpc and any(sign in told for sign in _NO_GRPC)
    ):
        spoken, other = ("gRPC", "HTTP") if url.is_grpc else ("HTTP", "gRPC")
        does = "does not" if url.is_tls else "does"
        return (
            f"this port does not speak {spoken}: give {_other_protocol(url)} if it is "
            f"Triton's {other} port, {_other_security(url)} if it {does} encrypt"
        )
    if isinstance(error, socket.gaierror) or (no_grpc and "resolving" in told):
        return f"is {quoted(url.host)} the name of a host?"
    if isinstance(error, OSError | EOFError) or no_grpc:
        return (
            "is the server running there, and is the port that of "
            f"{'gRPC (8001)' if url.is_grpc else 'HTTP (8000)'}?"
        )
    return ""


def _tls_hint(url: ServerUrl, told: str) -> str:
    lower = told.lower()
    if any(sign in told for sign in _NO_TLS):
        return (
            f"this port does not speak TLS: give {_other_security(url)}, or another "
            "port"
        )
    if "mismatch" in lower or "hostname verification" in lower:
        return (
            f"its certificate is for another name than {quoted(url.host)}: put the "
            "name that it is for into the URL"
        )
    if "certificate_required" in lower or "certificate required" in lower:
        return "give the client's own certificate with --tls-cert and --tls-key"
    way_out = "" if url.is_grpc else ", or trust any with --tls-insecure"
    return (
        "give the certificate that vouches for the server with --tls-ca FILE" + way_out
    )


def _other_protocol(url: ServerUrl) -> str:
    swapped = {"http": "grpc", "https": "grpcs", "grpc": "http", "grpcs": "https"}
    return str(replace(url, scheme=swapped[url.scheme], path=""))


def _other_security(url: ServerUrl) -> str:
    swapped = {"http": "https", "https": "http", "grpc": "grpcs", "grpcs": "grpc"}
    return str(replace(url, scheme=swapped[url.scheme]))


def _status(error: BaseException) -> str:
    """Return an HTTP status as digits, gRPC's as its name, '' for neither."""
    if not isinstance(error, InferenceServerException):
        return ""
    return str(error.status() or "").removeprefix("StatusCode.")


def _words(error: BaseException) -> str:
    """Return what was said, in one line."""
    if isinstance(error, InferenceServerException):
        if error.debug_details() is not None and _status(error).isdecimal():
            # The client could not read the answer: it was none of Triton's.
            return f"HTTP status {_status(error)}"
        text = str(error.message())
    elif isinstance(error, http.client.HTTPException):
        words = str(error.args[0]) if error.args else type(error).__name__
        text = words if "closed" in words else f"its answer is no HTTP ({words})"
    else:
        # gevent's time-out is a TimeoutError without words.
        text = str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(" .;")


def _is_timeout(error: BaseException, status: str, told: str) -> bool:
    if isinstance(error, TimeoutError) or status == "DEADLINE_EXCEEDED":
        return True
    return not status and "timed out" in told.lower()


def _is_about_tls(told: str) -> bool:
    lower = told.lower()
    return any(
        sign in lower for sign in ("ssl", "certificate", "hostname verification")
    )
